"""The command: `python -m tools.reference` writes every table, `--check` only compares them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tools.reference.pages import update

ROOT = Path(__file__).parents[2]

app = typer.Typer(add_completion=False)


@app.command()
def main(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if stale")] = False,
    root: Annotated[Path, typer.Option(help="The repository")] = ROOT,
) -> None:
    """Bring the generated tables of the documentation up to date."""
    stale = update(root, write=not check)
    for page in stale:
        typer.echo(f"{page}: {'stale' if check else 'updated'}")
    if check and stale:
        typer.echo("error: generated tables are stale: run `make reference`, and commit", err=True)
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
