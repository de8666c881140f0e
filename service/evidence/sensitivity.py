"""How far a map changes under small noise on the image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from service.evidence.chunks import images_at_once, pairs

# normalized images (N, C, H, W), targets (N,) -> relevance (N, H, W)
ExplainFn = Callable[[Tensor, Tensor], Tensor]

N_SAMPLES = 10
NOISE_LEVEL = 0.02  # of the range of the image's values


@dataclass(frozen=True)
class Sensitivity:
    """Change of the map in shares of its norm, for each image.

    Attributes
    ----------
    maximum, average : Tensor
        Over the noisy copies of an image, shape (N,).
    """

    maximum: Tensor
    average: Tensor


def sensitivity(
    explain: ExplainFn,
    images: Tensor,
    targets: Tensor,
    generator: torch.Generator,
    *,
    n_samples: int = N_SAMPLES,
    noise_level: float = NOISE_LEVEL,
    chunk: int | None = None,
) -> Sensitivity:
    """Norm of the map's change, relative to the norm of the map: Yeh et al. 2019.

    Max-sensitivity of arXiv:1901.09392, definition 2, estimated with uniform noise, divided by the
    norm of the map, so that methods of different scales compare. The explained target stays.

    Parameters
    ----------
    explain : callable
        Gives maps, shape (N, H, W), of normalized images and targets.
    images : Tensor
        Normalized, shape (N, C, H, W).
    targets : Tensor
        Classes, int64 of shape (N,).
    generator : torch.Generator
        Draws the noise, which is the same for each image.
    n_samples : int
        Noisy copies of an image.
    noise_level : float
        The largest noise, in shares of the range of each image's values.
    chunk : int, optional
        Images in one call of `explain`.
    """
    chunk = chunk or images_at_once(images)
    shape = images.shape[1:]
    noise = torch.stack([torch.rand(shape, generator=generator) for _ in range(n_samples)])
    noise = (2 * noise - 1).to(images)
    low, high = images.flatten(1).amin(1), images.flatten(1).amax(1)
    scale = (noise_level * (high - low)).view(-1, 1, 1, 1)
    clean = _explained(explain, images, targets, chunk)
    changes = []
    for rows, samples in pairs(len(images), n_samples, chunk):
        noisy = explain(images[rows] + scale[rows] * noise[samples], targets[rows])
        changes.append(_norm(noisy - clean[rows]))
    change = torch.cat(changes).view(len(images), n_samples)
    relative = torch.where(change > 0, change / _norm(clean)[:, None], 0)
    return Sensitivity(relative.amax(1), relative.mean(1))


def _explained(explain: ExplainFn, images: Tensor, targets: Tensor, chunk: int) -> Tensor:
    parts = zip(images.split(chunk), targets.split(chunk), strict=True)
    return torch.cat([explain(some, classes) for some, classes in parts])


def _norm(maps: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(maps, dim=(1, 2))
    return norm
