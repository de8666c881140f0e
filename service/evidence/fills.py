"""What hidden pixels show: fills of normalized images.

A fill has no access to the hidden pixels but by what it says it uses, and a row does not depend on
the other rows: random numbers are drawn for one image and are the same for each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from service.evidence.imputation import impute

Fill = Callable[[Tensor, Tensor, torch.Generator], Tensor]

BLUR_SHARE = 3 / 32  # standard deviation of the blur, in shorter sides: 3 pixels of 32
NOISE = 0.01  # standard deviation, as in ROAD's code, of the noise on imputed pixels


def mean_fill(images: Tensor, hidden: Tensor, generator: torch.Generator) -> Tensor:
    """Show the mean colour of the whole image, hidden pixels included.

    Parameters
    ----------
    images : Tensor
        Normalized, shape (N, C, H, W).
    hidden : Tensor
        Bool of shape (N, H, W).
    generator : torch.Generator
        Unused.
    """
    return torch.where(hidden[:, None], images.mean((2, 3), keepdim=True), images)


def blur_fill(images: Tensor, hidden: Tensor, generator: torch.Generator) -> Tensor:
    """Show the image blurred by a Gaussian of `BLUR_SHARE` of its shorter side.

    Large shapes and colours stay, so that the network sees no edges of the patches' own.
    """
    sigma = BLUR_SHARE * min(images.shape[2:])
    return torch.where(hidden[:, None], gaussian_blur(images, sigma), images)


def linear_fill(images: Tensor, hidden: Tensor, generator: torch.Generator) -> Tensor:
    """Impute hidden pixels from their neighbours, and add noise: ROAD.

    Noisy linear imputation of Rong et al. 2022, arXiv:2202.00449, section 4. The hidden pixels are
    not used, except that an image which is hidden wholly gets its mean colour.
    """
    noise = torch.randn(images.shape[1:], generator=generator, dtype=torch.float32)
    filled = impute(images, hidden) + NOISE * noise.to(images)
    return torch.where(hidden[:, None], filled, images)


def constant_fill(value: float | Tensor) -> Fill:
    """A fill with a value, or with one for each channel, shape (C,)."""

    def fill(images: Tensor, hidden: Tensor, generator: torch.Generator) -> Tensor:
        color = torch.as_tensor(value).to(images).reshape(-1, 1, 1)
        return torch.where(hidden[:, None], color, images)

    return fill


FILLS: Mapping[str, Fill] = MappingProxyType(
    {"mean": mean_fill, "blur": blur_fill, "linear": linear_fill}
)


def gaussian_blur(images: Tensor, sigma: float) -> Tensor:
    """Blur images of shape (N, C, H, W); beyond the edges, the outermost pixels go on.

    Parameters
    ----------
    images : Tensor
        Of any number of channels.
    sigma : float
        Standard deviation in pixels.
    """
    rows, columns = (_blur_matrix(side, sigma).to(images) for side in images.shape[2:])
    return rows @ images @ columns.T


def _blur_matrix(side: int, sigma: float) -> Tensor:
    """The weights of all pixels of a line for each, float64 of shape (side, side)."""
    radius = math.ceil(4 * sigma)
    offsets = torch.arange(-radius, radius + 1)
    weights = torch.exp(-0.5 * (offsets / sigma).square().double())
    weights /= weights.sum()
    sources = (torch.arange(side)[:, None] + offsets).clamp(0, side - 1)
    return torch.zeros(side, side, dtype=torch.float64).scatter_add_(
        1, sources, weights.expand(side, -1)
    )
