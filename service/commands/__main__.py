"""The command line: the application with all of its commands."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from service import __version__
from service.commands.cli.images import explain, predict
from service.commands.cli.models import advise, audit, import_, models, verify
from service.commands.cli.serving import key, ray, serve
from service.errors import ServiceError
from service.runtime.cores import set_wait_policy
from service.terminal import cut_middle, open_standard_streams, print_line

app = typer.Typer(
    help="What a network sees in an image, and which pixels made it say so.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (serve, ray, predict, explain, verify, advise, audit, models):
    app.command()(command)
app.command("import")(import_)
app.command()(key)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"lrpserve {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version"),
    ] = False,
) -> None:
    """What a network sees in an image, and which pixels made it say so."""


def run() -> None:
    """Run the command line; a `ServiceError` is one sentence and exit status 2."""
    open_standard_streams()
    set_wait_policy()
    # a process that is started looks for modules in the current folder otherwise: `pickle.py`, ...
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        app()
    except ServiceError as error:
        detail = error.detail
    except MemoryError:
        detail = "there is not enough memory"
    else:
        return
    print_line(f"error: {cut_middle(detail)}", is_error=True)
    raise SystemExit(2)
