"""The command line of `python -m training faithfulness`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.faithfulness.command import Arguments, run_faithfulness
from training.faithfulness.experiment import SETTINGS, Sizes


def faithfulness(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder of a bundle")],
    data: Annotated[Path, typer.Option(help="Folder of images, or of a data set with `test`")],
    out: Annotated[Path, typer.Option(help="Folder of the results; goes on if it exists")],
    n: Annotated[int, typer.Option(min=2, help="Images for each method")] = 1000,
    n_default: Annotated[
        int, typer.Option(min=2, help="Images for the default method and the baselines")
    ] = 10_000,
    methods: Annotated[
        list[str] | None, typer.Option("--method", help="A method to measure; all by default")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--setting", help=f"One or more of: {', '.join(SETTINGS)}; all by default"),
    ] = None,
    minutes: Annotated[float, typer.Option(help="Stop after this time, to go on later")] = 25.0,
    extras: Annotated[
        bool, typer.Option("--extras", help="Other measures, too: of the first 100 images")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Write it into the bundle's card")] = False,
    device: Annotated[str, typer.Option(help="`auto`, `cpu` or `cuda:0`")] = "auto",
) -> None:
    """Measure how faithful the maps of every method are, with controls.

    Example: python -m training faithfulness runs/strong/bundle --data photos --out faithful
    """
    arguments = Arguments(
        *(bundle, data, out, Sizes(n_default, n), tuple(methods or ()), tuple(settings or ())),
        *(minutes, extras, keep, device),
    )
    is_done = run_faithfulness(arguments, typer.echo)
    typer.echo(f"written: {out}" if is_done else f"written so far: {out}; the same command goes on")
