"""Rank correlations of maps, and what is left of them when a third map is held fixed."""

from __future__ import annotations

import torch
from torch import Tensor


def ranks(maps: Tensor) -> Tensor:
    """Rank of each pixel in its map, ties at their mean rank: float64 of shape (N, P)."""
    flat = maps.flatten(1).double().contiguous()
    ordered = flat.sort(dim=1).values
    below = torch.searchsorted(ordered, flat)
    upto = torch.searchsorted(ordered, flat, right=True)
    return (below + upto + 1).double() / 2


def rank_correlation(left: Tensor, right: Tensor) -> Tensor:
    """Spearman's correlation of maps of shape (N, H, W): shape (N,).

    0 where one of the maps is constant: it has no order that could agree.
    """
    first, second = _centred(ranks(left)), _centred(ranks(right))
    norm = (first.square().sum(1) * second.square().sum(1)).sqrt()
    return torch.where(norm > 0, (first * second).sum(1) / norm, 0)


def partial_correlation(left: Tensor, right: Tensor, fixed: Tensor) -> Tensor:
    """Spearman's correlation of two maps with the linear effect of a third one's ranks removed.

    Objects have edges, and any blurred map correlates with any other: what is held fixed is not
    counted twice. 0 where the third map determines one of them.
    """
    direct = rank_correlation(left, right)
    of_left, of_right = rank_correlation(left, fixed), rank_correlation(right, fixed)
    rest = (1 - of_left.square()) * (1 - of_right.square())
    is_free = rest > 1e-9
    return torch.where(is_free, (direct - of_left * of_right) / rest.clamp(min=1e-9).sqrt(), 0)


def _centred(values: Tensor) -> Tensor:
    return values - values.mean(1, keepdim=True)
