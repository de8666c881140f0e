"""Arguments and options that several commands share, and those that come from the registry."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from service.methods import Parameter, all_parameters

Images = Annotated[list[Path], typer.Argument(help="Image files", metavar="IMAGE...")]

OptionalImages = Annotated[
    list[Path] | None, typer.Argument(help="Image files", metavar="[IMAGE]...", show_default=False)
]


def option(text: str) -> Any:
    """An option whose default is said in its help, not shown as a value."""
    return typer.Option(help=text, show_default=False)


Model = Annotated[str | None, option("Name of a model, or a bundle's folder (LRPSERVE_MODEL)")]
Device = Annotated[str | None, option("`auto`, `cpu` or `cuda:0` (LRPSERVE_DEVICE)")]
TopK = Annotated[str | None, option("Number of classes to show, best first (5)")]
Fit = Annotated[str | None, option("`crop` (default), `stretch` or `pad`")]

Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="Folder for the files that are written", show_default=False),
]
Input = Annotated[
    str | None,
    typer.Option(
        "--input",
        help="Images of a batch job: a folder, a text file with a path on each line (`-` is "
        "standard input), or a Parquet file or folder",
        show_default=False,
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="Output of a batch job: `files`, `parquet`, `zarr` or `virelay` "
        "(by the suffix of the output, else `files`)",
        show_default=False,
    ),
]
Column = Annotated[
    str | None, option("Column of a Parquet input with the images (`image`, `bytes` or `path`)")
]
RayActors = Annotated[
    int | None,
    typer.Option(
        "--ray",
        help="Number of actors on a Ray cluster that explain a batch job (RAY_ADDRESS, or a Ray "
        "on this machine)",
        min=1,
        show_default=False,
    ),
]
RayGpus = Annotated[
    float, typer.Option(help="GPUs of each actor: 0.5 shares a GPU between two", min=0)
]
PartSize = Annotated[
    int | None,
    typer.Option(
        help="Images of a batch job that are written together (by their size)",
        min=1,
        show_default=False,
    ),
]


def check_explain_arguments(
    images: list[Path] | None, out: Path | None, batch_option: object
) -> tuple[list[Path], Path]:
    """Check that images and a folder are given, and no option of batch jobs.

    Raises
    ------
    typer.BadParameter
        Says what to give.
    """
    if batch_option:
        raise typer.BadParameter("--format, --column, --part-size and --ray need --input")
    if not images:
        raise typer.BadParameter("give image files, or --input for very many")
    if out is None:
        raise typer.BadParameter("give a folder for the results: -o FOLDER")
    return images, out


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


def given_options(**values: Any) -> dict[str, Any]:
    """The options that were given, by name."""
    return {name: value for name, value in values.items() if value is not None}


def exit_if_failed(n_failed: int) -> None:
    """Exit with status 2 if anything has failed."""
    if n_failed:
        raise typer.Exit(2)
