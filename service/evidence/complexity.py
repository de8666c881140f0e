"""How few pixels hold the relevance."""

from __future__ import annotations

import torch
from torch import Tensor


def sparseness(relevance: Tensor) -> Tensor:
    """Gini index of absolute relevance: Chalasani et al. 2020, arXiv:1810.06583.

    0 for a constant map, also for one of zeros; 1 - 1/pixels if one pixel has all.

    Parameters
    ----------
    relevance : Tensor
        Of shape (N, H, W).

    Returns
    -------
    Tensor
        Float64 of shape (N,).
    """
    ranked = relevance.flatten(1).double().abs().sort(dim=1).values
    n = ranked.shape[1]
    weights = 2 * torch.arange(1, n + 1, device=ranked.device) - n - 1
    total = ranked.sum(1)
    return torch.where(total > 0, (weights * ranked).sum(1) / (n * total), 0)


def complexity(relevance: Tensor) -> Tensor:
    """Entropy of the shares of absolute relevance, in nats: Bhatt et al. 2020, arXiv:2005.00631.

    The logarithm of the number of pixels for a constant map, also for one of zeros; 0 if one pixel
    has all. Float64 of shape (N,).
    """
    values = relevance.flatten(1).double().abs()
    total = values.sum(1, keepdim=True)
    shares = torch.where(total > 0, values / total, 1 / values.shape[1])
    entropy: Tensor = torch.special.entr(shares).sum(1)
    return entropy
