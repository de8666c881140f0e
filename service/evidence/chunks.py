"""Chunks of images for one call of a network, so that memory is bounded."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

# values of the network's input in one call. On a CPU, MiniVGG is fastest with 32 images of 3x32x32:
# with 256, which its cache does not hold, an image takes twice as long.
_VALUES_ON_CPU = 32 * 3 * 32 * 32
_VALUES_ON_GPU = 2048 * 3 * 32 * 32


def images_at_once(images: Tensor) -> int:
    """How many images of shape (C, H, W) go into one call, at least 1."""
    n_values = _VALUES_ON_CPU if images.device.type == "cpu" else _VALUES_ON_GPU
    return max(1, n_values // max(1, images[:1].numel()))


def pairs(n_images: int, n_variants: int, chunk: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Indices of all pairs of an image and a variant of it, image by image, in chunks."""
    for indices in torch.arange(n_images * n_variants).split(chunk):
        yield indices // max(1, n_variants), indices % max(1, n_variants)
