"""Whether relevance lies where the object is known to be.

Each function takes maps of shape (N, H, W) and masks, bool of the same shape, in each of which some
pixels are set, and gives scores from 0 to 1, shape (N,). Pixels of equal relevance have no order: a
score is the mean over all orders of them, so that a constant map gets the share of the mask.
"""

from __future__ import annotations

import torch
from torch import Tensor


def pointing_game(relevance: Tensor, mask: Tensor) -> Tensor:
    """1 if the most relevant pixel is inside, else 0: Zhang et al. 2018, arXiv:1608.00507.

    Several most relevant pixels give the share of them that is inside.
    """
    flat, inside = _flat(relevance, mask)
    highest = flat == flat.amax(1, keepdim=True)
    return (highest & inside).sum(1) / highest.sum(1)


def relevance_mass(relevance: Tensor, mask: Tensor) -> Tensor:
    """Share of the positive relevance that is inside: Arras et al. 2022, arXiv:2003.07258.

    0 for a map that has no positive relevance.
    """
    flat, inside = _flat(relevance, mask)
    positive = flat.double().clamp(min=0)
    total = positive.sum(1)
    share = (positive * inside).sum(1) / total
    return torch.where(total > 0, share, 0).float()


def relevance_rank(relevance: Tensor, mask: Tensor) -> Tensor:
    """Share of the K most relevant pixels that is inside, K being the size of the mask.

    Arras et al. 2022, arXiv:2003.07258. Of pixels that tie for the last places, the share of them
    that is inside counts.
    """
    flat, inside = _flat(relevance, mask)
    size = inside.sum(1)
    ranked = flat.sort(dim=1, descending=True).values
    last = ranked.gather(1, size[:, None] - 1)
    above, tied = flat > last, flat == last
    places = size - above.sum(1)
    share_of_ties = (tied & inside).sum(1) / tied.sum(1)
    return ((above & inside).sum(1) + places * share_of_ties) / size


def _flat(relevance: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    if relevance.shape != mask.shape or mask.dtype != torch.bool:
        raise ValueError(
            f"masks have to be bool of shape {tuple(relevance.shape)}, "
            f"not {mask.dtype} of {tuple(mask.shape)}"
        )
    flat, inside = relevance.flatten(1), mask.flatten(1)
    if not bool(inside.any(1).all()):
        raise ValueError("a mask has no pixel")
    return flat, inside
