"""Normalization: from pixels to the input of a network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def normalize(
    pixels: Tensor, mean: Tensor | Sequence[float], std: Tensor | Sequence[float]
) -> Tensor:
    """Compute `(pixel / 255 - mean) / std`.

    Parameters
    ----------
    pixels : Tensor
        RGB, uint8 of shape (N, H, W, 3).
    mean, std : Tensor or sequence of float
        Of each channel, of values in [0, 1].

    Returns
    -------
    Tensor
        float32 of shape (N, 3, H, W), with the channels last in memory.
    """
    mean, std = (
        torch.as_tensor(values, dtype=torch.float32, device=pixels.device) for values in (mean, std)
    )
    scaled = (pixels.float() / 255 - mean) / std
    return scaled.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
