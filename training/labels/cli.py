"""The command line of `python -m training labels`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.data import load_data
from training.labels.command import check_labels
from training.labels.maps import Sizes
from training.labels.networks import BY_HEART, N_TEST

_CACHE = Path("data")  # where the original CIFAR-10 is kept


def labels(
    data: Annotated[str, typer.Option(help="`cifar10`, or a folder of images")],
    out: Annotated[Path, typer.Option(help="Folder of networks and results; goes on if it exists")],
    images: Annotated[int, typer.Option(min=10, help="Training images of each network")] = 2000,
    epochs: Annotated[
        int, typer.Option(min=1, help="Until a network knows its labels by heart")
    ] = BY_HEART.epochs,
    n: Annotated[
        int, typer.Option(min=2, max=N_TEST, help="Test images for methods of one pass")
    ] = 200,
    n_sampled: Annotated[int, typer.Option(min=2, help="Images for methods of many passes")] = 40,
    seed: Annotated[
        int, typer.Option(min=0, max=2**31 - 1, help="Of the images, labels and weights")
    ] = 0,
    device: Annotated[str, typer.Option(help="`auto`, `cpu` or `cuda:0`")] = "auto",
) -> None:
    """Compare maps of networks that learned true and shuffled labels: they should differ.

    Example: python -m training labels --data cifar10 --out runs/labels
    """
    sizes = Sizes(n, min(n, n_sampled))
    check_labels(
        *(load_data(data, _CACHE), out, images, epochs, sizes, seed, device), say=typer.echo
    )
    typer.echo(f"written: {out}")
