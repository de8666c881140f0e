"""Planting of artefacts: a share of the images of a class gets one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from service.runtime.jobs import Pixels
from training.clever_hans.artefacts import ARTEFACTS
from training.data import DataSet, Split


@dataclass(frozen=True)
class Plant:
    """An artefact for a class.

    Attributes
    ----------
    artefact : str
        A key of `ARTEFACTS`.
    label : int
        Index of the class.
    share : float
        Part of its images that get it, 0 to 1.
    """

    artefact: str
    label: int
    share: float


def assign_plants(seed: int, n_classes: int, share: float) -> tuple[Plant, ...]:
    """Each artefact for a class of its own; seeds that follow each other take other classes."""
    order = torch.randperm(n_classes, generator=torch.Generator().manual_seed(0))
    labels = order.roll(-len(ARTEFACTS) * seed).tolist()
    pairs = zip(ARTEFACTS, labels, strict=False)
    return tuple(Plant(artefact, label, share) for artefact, label in pairs)


def plant(split: Split, plants: Sequence[Plant], seed: int) -> tuple[Split, Tensor]:
    """Plant artefacts into a copy of a split.

    Returns
    -------
    Split
        All images, in their order.
    Tensor
        bool, shape (N,): the images that have an artefact.
    """
    generator = torch.Generator().manual_seed(seed)
    images, planted = split.images.clone(), torch.zeros(len(split), dtype=torch.bool)
    for one in plants:
        indices = (split.labels == one.label).nonzero()[:, 0]
        order = torch.randperm(len(indices), generator=generator)
        chosen = indices[order[: round(one.share * len(indices))]]
        images[chosen] = ARTEFACTS[one.artefact](images[chosen])
        planted[chosen] = True
    return Split(images, split.labels), planted


def plant_training(data: DataSet, plants: Sequence[Plant], seed: int) -> DataSet:
    """A data set whose training images have the artefacts; the test images are as they were."""
    return replace(data, train=plant(data.train, plants, seed)[0])


def to_pixels(images: torch.Tensor) -> Pixels:
    """uint8 of shape (N, 3, H, W) as (N, H, W, 3)."""
    return np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy())
