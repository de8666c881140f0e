"""Orders in which patches are hidden."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from service.evidence.patches import PatchGrid


def most_relevant_first(
    grid: PatchGrid, relevance: Tensor, seed: int | Sequence[int] = 0
) -> Tensor:
    """Order patches by falling mean relevance: MoRF of Samek et al. 2017, arXiv:1509.06321.

    The mean equals the sum but for patches that are cut at the edge: with sums, those would be
    last whatever the map says. Ties are broken at random, so that a constant map has a random
    order, which is the same for `least_relevant_first`: such a map has no gap between both.

    Parameters
    ----------
    grid : PatchGrid
        The patches.
    relevance : Tensor
        Of shape (N, H, W).
    seed : int or sequence of int
        Breaks ties: one for all images, or one for each.

    Returns
    -------
    Tensor
        Int64 of shape (N, P).
    """
    return _sorted(grid.means(relevance), seed, descending=True)


def least_relevant_first(
    grid: PatchGrid, relevance: Tensor, seed: int | Sequence[int] = 0
) -> Tensor:
    """Order patches by rising mean relevance (LeRF): without ties, the reverse of the other one."""
    return _sorted(grid.means(relevance), seed, descending=False)


def random_orders(grid: PatchGrid, n: int, generator: torch.Generator) -> Tensor:
    """Draw `n` orders, int64 of shape (n, P); the first ones do not depend on `n`."""
    drawn = [torch.randperm(grid.n_patches, generator=generator) for _ in range(n)]
    return torch.stack(drawn) if drawn else torch.empty(0, grid.n_patches, dtype=torch.int64)


def _sorted(means: Tensor, seed: int | Sequence[int], *, descending: bool) -> Tensor:
    shuffled = _permutations(means, seed)
    places = means.gather(1, shuffled).argsort(dim=1, descending=descending, stable=True)
    return shuffled.gather(1, places)


def _permutations(means: Tensor, seed: int | Sequence[int]) -> Tensor:
    """A permutation of the patches for each row, which depends on its seed only."""
    n_rows, n_patches = means.shape
    seeds = [seed] if isinstance(seed, int) else list(seed)
    if not isinstance(seed, int) and len(seeds) != n_rows:
        raise ValueError(f"{len(seeds)} seeds do not fit {n_rows} maps")
    drawn = [
        torch.randperm(n_patches, generator=torch.Generator().manual_seed(one)) for one in seeds
    ]
    if not drawn:
        return means.new_empty(0, n_patches, dtype=torch.int64)
    return torch.stack(drawn).to(means.device).expand(n_rows, n_patches)
