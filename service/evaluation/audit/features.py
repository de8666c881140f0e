"""Relevance maps as points to cluster: where relevance is, its pattern, and the channels it takes.

Lapuschkin et al. 2019 ("Unmasking Clever Hans predictors", SpRAy) cluster downsampled maps. That
sees what is at a fixed place; the other domains see what is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from service.evaluation.explained import Maps

Features = NDArray[np.float64]
SIDE = 8  # of a downsampled map, in cells
_TINY = 1e-12


def positive_shares(relevance: NDArray[np.float32]) -> Tensor:
    """Positive relevance of each pixel as a share of the image's: float64 of shape (N, H, W)."""
    positive = torch.from_numpy(relevance).double().clamp(min=0)
    return positive / positive.sum((1, 2), keepdim=True).clamp(min=_TINY)


def position(maps: Maps) -> Features:
    """Positive relevance in 8 x 8 cells, which sum to 1; square roots, as Hellinger's distance."""
    return _cells(positive_shares(maps.relevance))


def shape(maps: Maps) -> Features:
    """As `position`, after the centre of the relevance is moved to the middle."""
    shares = positive_shares(maps.relevance)
    return _cells(torch.stack([_centred(each) for each in shares]))


def spectrum(maps: Maps) -> Features:
    """Amplitudes of the relevance's Fourier transform, by direction and frequency, as logarithms.

    A pattern that is all over the image, such as the blocks of JPEG, is in a few of them.
    """
    relevance = torch.from_numpy(maps.relevance).double()
    relevance = relevance / relevance.abs().sum((1, 2), keepdim=True).clamp(min=_TINY)
    amplitudes = torch.fft.fftshift(torch.fft.rfft2(relevance).abs(), dim=1)
    pooled = adaptive_avg_pool2d(amplitudes[:, None], (2 * SIDE, SIDE)).flatten(1)
    logarithms = (pooled + 1e-3 * pooled.mean()).log()
    return np.asarray(logarithms - logarithms.mean(0))


def channels(maps: Maps) -> Features:
    """Share of each channel in the relevance of a layer, wherever in the image it is.

    It sees what has no place: a hue, a texture.
    """
    (values,) = (torch.from_numpy(kept).double() for kept in maps.layers.values())
    sums = values.flatten(2).sum(2)
    shares = sums / sums.abs().sum(1, keepdim=True).clamp(min=_TINY)
    return np.asarray(shares.sign() * shares.abs().sqrt())


DOMAINS: Mapping[str, Callable[[Maps], Features]] = MappingProxyType(
    {"position": position, "shape": shape, "spectrum": spectrum, "channels": channels}
)


def _cells(shares: Tensor) -> Features:
    height, width = shares.shape[1:]
    side = (min(SIDE, height), min(SIDE, width))
    pooled = adaptive_avg_pool2d(shares[:, None], side).flatten(1)
    return np.asarray((pooled / pooled.sum(1, keepdim=True).clamp(min=_TINY)).sqrt())


def _centred(share: Tensor) -> Tensor:
    height, width = share.shape
    row = float((share.sum(1) * torch.arange(height)).sum())
    column = float((share.sum(0) * torch.arange(width)).sum())
    shifts = (round(height / 2 - row), round(width / 2 - column))
    return share.roll(shifts, (0, 1))
