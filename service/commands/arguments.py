"""Arguments and options that several commands share, and those that come from the registry."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from service.methods import Parameter, all_parameters

Images = Annotated[list[Path], typer.Argument(help="Image files", metavar="IMAGE...")]


def option(text: str) -> Any:
    """An option whose default is said in its help, not shown as a value."""
    return typer.Option(help=text, show_default=False)


Model = Annotated[str | None, option("Name of a model, or a bundle's folder (LRPSERVE_MODEL)")]
Device = Annotated[str | None, option("`auto`, `cpu` or `cuda:0` (LRPSERVE_DEVICE)")]
TopK = Annotated[str | None, option("Number of classes to show, best first (5)")]
Fit = Annotated[str | None, option("`crop` (default), `stretch` or `pad`")]


def with_parameters(command: Callable[..., None]) -> Callable[..., None]:
    """Replace `**parameters` of a command by options: one for each parameter of the registry."""
    signature = inspect.signature(command, eval_str=True)
    own = [given for given in signature.parameters.values() if given.kind is not given.VAR_KEYWORD]
    added = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[str | None, option(_help_of(parameter))],
        )
        for name, parameter in all_parameters().items()
    ]
    # typer reads the signature
    command.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
    return command


def _help_of(parameter: Parameter) -> str:
    default = parameter.default
    shown = str(default).lower() if isinstance(default, bool) else default
    return parameter.text if default is None else f"{parameter.text} ({shown})"
