"""Faithfulness correlation: whether relevance foretells how far the score falls."""

from __future__ import annotations

import torch
from torch import Tensor

from service.evidence.curves import PredictFn, ScoreFn, perturbed_scores, probability
from service.evidence.fills import Fill
from service.evidence.orders import random_orders
from service.evidence.patches import PatchGrid
from service.evidence.similarity import pearson

N_SUBSETS = 100


def faithfulness_correlation(
    predict: PredictFn,
    images: Tensor,
    targets: Tensor,
    relevance: Tensor,
    grid: PatchGrid,
    fill: Fill,
    generator: torch.Generator,
    *,
    n_hidden: int,
    n_subsets: int = N_SUBSETS,
    score: ScoreFn = probability,
    chunk: int | None = None,
) -> Tensor:
    """Correlation of the relevance of random patches and of the score's fall without them.

    Bhatt et al. 2020, arXiv:2005.00631, definition 3. The subsets are the same for each image.

    Parameters
    ----------
    predict, images, targets, grid, fill, score, chunk
        As in `curves.perturbation_curve`.
    relevance : Tensor
        Of shape (N, H, W).
    generator : torch.Generator
        Draws the subsets and seeds the fill.
    n_hidden : int
        Patches in a subset.
    n_subsets : int
        Number of subsets.

    Returns
    -------
    Tensor
        From -1 to 1, shape (N,); 0 where relevance or falls are the same for all subsets.
    """
    orders = random_orders(grid, n_subsets, generator)
    hidden = grid.hidden(orders, n_hidden).to(images.device)
    chosen = orders[:, :n_hidden].to(relevance.device)
    sums = grid.sums(relevance)[:, chosen].sum(2)
    nothing = torch.zeros_like(hidden[:1])
    masks = torch.cat([nothing, hidden])
    scores = perturbed_scores(
        predict, images, targets, lambda _, subsets: masks[subsets], len(masks), fill, generator,
        score=score, chunk=chunk,
    )  # fmt: skip
    return pearson(sums.to(scores.device), scores[:, :1] - scores[:, 1:])
