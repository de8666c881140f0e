"""The images of a measurement: the first of each class whose object has a sound mask."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training.claims.masks import GrabCut, find_masks
from training.data import DataError, Split


@dataclass(frozen=True, eq=False)
class Sample:
    """Images whose objects are known.

    Attributes
    ----------
    pixels : Tensor
        uint8, shape (N, 3, H, W).
    labels : Tensor
        int64, shape (N,).
    numbers : Tensor
        Index of each image in the test split, int64 of shape (N,).
    masks : Tensor
        The objects, bool of shape (N, H, W).
    n_rejected : int
        Images that were left out, as their masks are degenerate.
    """

    pixels: Tensor
    labels: Tensor
    numbers: Tensor
    masks: Tensor
    n_rejected: int

    def __len__(self) -> int:
        return len(self.labels)


def take_sample(split: Split, per_class: int, settings: GrabCut, kept: Path) -> Sample:
    """Take the first images of each class, class by class in turn, and find their objects.

    Parameters
    ----------
    split : Split
        A test split.
    per_class : int
        Images of each class, before degenerate masks are rejected.
    settings : GrabCut
        How masks are found.
    kept : Path
        A file for the masks; one of fewer images per class is continued.

    Raises
    ------
    DataError
        Fewer than two images have a sound mask.
    """
    numbers = in_turn(split.labels, per_class)
    chosen = split.subset(numbers)
    masks, is_sound = find_masks(chosen.images, settings, kept)
    sound = torch.from_numpy(np.flatnonzero(is_sound))
    if len(sound) < 2:
        raise DataError(f"only {len(sound)} of {len(chosen)} images have a mask that can be used")
    return Sample(
        chosen.images[sound],
        chosen.labels[sound],
        numbers[sound],
        torch.from_numpy(masks)[sound],
        len(chosen) - len(sound),
    )


def in_turn(labels: Tensor, per_class: int) -> Tensor:
    """Indices of the first images of each class: the first of all classes, then the second ones."""
    of_class = [(labels == one).nonzero()[:per_class, 0] for one in labels.unique()]
    place = torch.cat([torch.arange(len(one)) for one in of_class])
    return torch.cat(of_class)[place.argsort(stable=True)]


def partners(labels: Tensor, seed: int, *, same_class: bool) -> Tensor:
    """For each image another one, drawn at random: of the same class, or of another class.

    Parameters
    ----------
    labels : Tensor
        int64 of shape (N,); of two classes or more, with two images each at least.
    seed : int
        Of the draw.
    same_class : bool
        Which.

    Returns
    -------
    Tensor
        Indices, int64 of shape (N,); -1 where there is no such image.
    """
    generator = torch.Generator().manual_seed(seed)
    allowed = (labels[:, None] == labels) == same_class
    allowed.fill_diagonal_(False)
    drawn = torch.rand(allowed.shape, generator=generator).masked_fill(~allowed, -1)
    best = drawn.max(1)
    return torch.where(best.values >= 0, best.indices, -1)
