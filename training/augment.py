"""Augmentation of batches on their device, as uint8."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from service.models.normalization import normalize
from training.config import Recipe


def augment(
    images: Tensor, recipe: Recipe, generator: torch.Generator, mirrored: Tensor | None = None
) -> Tensor:
    """Crop and flip each image of a batch at random.

    Parameters
    ----------
    images : Tensor
        uint8, shape (N, 3, H, W).
    recipe : Recipe
        Its `flip` and `crop_border`.
    generator : torch.Generator
        On the device of the images.
    mirrored : Tensor, optional
        bool, shape (N,): which images are flipped, in place of random ones.

    Returns
    -------
    Tensor
        uint8, the same shape.
    """
    n, _, height, width = images.shape
    rows, columns = (torch.arange(s, device=images.device).repeat(n, 1) for s in (height, width))
    if recipe.crop_border:
        rows = _reflect(rows + _offsets(n, recipe.crop_border, generator), height)
        columns = _reflect(columns + _offsets(n, recipe.crop_border, generator), width)
    if recipe.flip:
        if mirrored is None:
            mirrored = torch.rand(n, generator=generator, device=images.device) < 0.5
        columns = torch.where(mirrored[:, None], columns.flip(1), columns)
    item = torch.arange(n, device=images.device)[:, None, None]
    return images[item, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def choose_half(n: int, seed: int) -> Tensor:
    """Choose about half of `n` images, bool of shape (N,), for `mirrored` of the first epoch."""
    return torch.rand(n, generator=torch.Generator().manual_seed(seed)) < 0.5


def network_input(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Normalize uint8 images of shape (N, 3, H, W) as the service does."""
    return normalize(images.permute(0, 2, 3, 1), mean, std)


def _reflect(positions: Tensor, size: int) -> Tensor:
    """Mirror positions outside of an image at its border pixels."""
    positions = positions.abs()
    return torch.where(positions < size, positions, 2 * (size - 1) - positions)


def _offsets(n: int, border: int, generator: torch.Generator) -> Tensor:
    shape, device = (n, 1), generator.device
    return torch.randint(-border, border + 1, shape, generator=generator, device=device)
