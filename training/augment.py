"""Augmentation of batches on their device, as uint8."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from service.models.normalization import normalize
from training.config import Recipe


def augment(images: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Crop and flip each image of a batch at random.

    Parameters
    ----------
    images : Tensor
        uint8, shape (N, 3, H, W).
    recipe : Recipe
        Its `flip` and `crop_border`.
    generator : torch.Generator
        On the device of the images.

    Returns
    -------
    Tensor
        uint8, the same shape.
    """
    n, _, height, width = images.shape
    rows, columns = (torch.arange(s, device=images.device).repeat(n, 1) for s in (height, width))
    if recipe.crop_border:
        images = _reflect(images, recipe.crop_border)
        rows += _offsets(n, recipe.crop_border, generator)
        columns += _offsets(n, recipe.crop_border, generator)
    if recipe.flip:
        mirrored = torch.rand(n, 1, generator=generator, device=images.device) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    item = torch.arange(n, device=images.device)[:, None, None]
    return images[item, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def network_input(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Normalize uint8 images of shape (N, 3, H, W) as the service does."""
    return normalize(images.permute(0, 2, 3, 1), mean, std)


def _reflect(images: Tensor, border: int) -> Tensor:
    # `pad` has no reflection for uint8; float32 holds 0 to 255 exactly
    return functional.pad(images.float(), (border,) * 4, mode="reflect").to(torch.uint8)


def _offsets(n: int, border: int, generator: torch.Generator) -> Tensor:
    return torch.randint(0, 2 * border + 1, (n, 1), generator=generator, device=generator.device)
