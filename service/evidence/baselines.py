"""Maps that know nothing of the network: what an explanation has to surpass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional

from service.evidence.seeds import image_seeds

Baseline = Callable[[Tensor], Tensor]  # normalized images (N, C, H, W) -> maps (N, H, W)

GAUSSIAN_SHARE = 1 / 4  # standard deviation of the centred Gaussian, in sides of the image


def random_maps(images: Tensor, seed: int = 0) -> Tensor:
    """Uniform noise in [0, 1), another for each image: its own bytes are part of the seed."""
    drawn = [
        torch.rand(images.shape[2:], generator=torch.Generator().manual_seed(one))
        for one in image_seeds(images, seed)
    ]
    return torch.stack(drawn).to(images.device) if drawn else images[:, 0]


def edge_maps(images: Tensor) -> Tensor:
    """Magnitude of the Sobel gradient of the mean over channels; the edges' pixels go on beyond."""
    gray = functional.pad(images.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    kernel = images.new_tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
    gradient: Tensor = functional.conv2d(gray, torch.stack([kernel, kernel.T])[:, None])
    return gradient.square().sum(1).sqrt()


def gaussian_maps(images: Tensor) -> Tensor:
    """A Gaussian in the middle of each image, `GAUSSIAN_SHARE` of its sides wide."""
    height, width = images.shape[2:]
    rows, columns = _bell(height).to(images), _bell(width).to(images)
    return (rows[:, None] * columns).expand(len(images), -1, -1)


BASELINES: Mapping[str, Baseline] = MappingProxyType(
    {"random": random_maps, "edges": edge_maps, "gaussian": gaussian_maps}
)


def _bell(side: int) -> Tensor:
    places = (torch.arange(side) + 0.5) / side - 0.5
    return torch.exp(-0.5 * (places / GAUSSIAN_SHARE).square())
