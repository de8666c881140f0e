"""A contact sheet of masks, to be checked by eye, and the marks that the eye gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from service.errors import ServiceError
from service.strict_json import loads
from training.claims.sample import Sample

PER_CLASS = 10
_VEIL = np.array([200, 0, 200])  # over what is not of the object
_VEIL_SHARE = 0.75


class MarksError(ServiceError):
    """The file of marks is not one."""

    type = "marks-error"
    title = "The marks cannot be used"


@dataclass(frozen=True)
class Marks:
    """Masks that were looked at: indices of the images in the test split."""

    good: tuple[int, ...]
    bad: tuple[int, ...]

    @property
    def share_of_good(self) -> float:
        """Of the masks that were looked at."""
        return len(self.good) / len(self.good + self.bad)

    def is_good(self, sample: Sample) -> Tensor:
        """Which images of a sample have a mask that was found good, bool of shape (N,)."""
        return torch.isin(sample.numbers, torch.tensor(self.good))


def read_marks(path: Path) -> Marks:
    """Read a file such as `{"good": [0, 7], "bad": [1]}`.

    Raises
    ------
    MarksError
        It cannot be read, or has another content.
    """
    try:
        fields = loads(path.read_bytes())
        good, bad = ([int(one) for one in fields[key]] for key in ("good", "bad"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MarksError(f"{path} has to hold the lists `good` and `bad`: {error}") from error
    if not good or set(good) & set(bad):
        raise MarksError(f"{path}: `good` is empty, or shares an image with `bad`")
    return Marks(tuple(good), tuple(bad))


def draw_sheet(sample: Sample, labels: Sequence[str], path: Path) -> None:
    """Draw the first masks of each class with the indices of their images: a row for each class."""
    figure = Figure(figsize=(1.9 * PER_CLASS, 1.25 * len(labels)), layout="constrained")
    grid = figure.subplots(len(labels), PER_CLASS, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for row, (index, label) in zip(grid, enumerate(labels), strict=True):
        row[0].text(-0.1, 0.5, label, transform=row[0].transAxes, rotation=90, va="center")
        shown = (sample.labels == index).nonzero()[:PER_CLASS, 0].tolist()
        for axes, one in zip(row, shown, strict=False):
            axes.imshow(beside(sample, one))
            axes.set_title(str(int(sample.numbers[one])), fontsize=8, pad=2)
    figure.savefig(path, dpi=100)


def beside(sample: Sample, index: int) -> NDArray[np.uint8]:
    """An image, and beside it its object with a veil over the rest."""
    pixels = sample.pixels[index].permute(1, 2, 0).numpy()
    mask = sample.masks[index].numpy()[..., None]
    veiled = (pixels * (1 - _VEIL_SHARE) + _VEIL * _VEIL_SHARE).astype(np.uint8)
    return np.concatenate([pixels, np.where(mask, pixels, veiled)], 1)
