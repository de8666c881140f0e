"""Class sensitivity: a map should tell targets apart, and red should speak for its target.

Targets have logits of either sign, and a contrast is a pair of classes: measures that look at the
likeliest class alone miss a map whose sign is wrong for the others.
"""

from __future__ import annotations

import torch
from torch import Tensor

from service.evidence.curves import (
    PredictFn,
    ScoreFn,
    logit,
    logit_difference,
    perturbation_curve,
)
from service.evidence.fills import Fill
from service.evidence.orders import least_relevant_first, most_relevant_first
from service.evidence.patches import PatchGrid
from service.evidence.seeds import image_seeds
from service.evidence.sensitivity import ExplainFn
from service.evidence.similarity import Similarity, compare


def random_others(images: Tensor, targets: Tensor, n_classes: int, seed: int = 0) -> Tensor:
    """Draw another class for each target, int64 of shape (N,); each image has a seed of its own."""
    if n_classes < 2:
        raise ValueError(f"{n_classes} classes have no other one")
    generators = [torch.Generator().manual_seed(one) for one in image_seeds(images, seed)]
    steps = [int(torch.randint(1, n_classes, (), generator=one)) for one in generators]
    return (targets + torch.tensor(steps, dtype=targets.dtype).to(targets.device)) % n_classes


def class_sensitivity(
    explain: ExplainFn, images: Tensor, targets: Tensor, others: Tensor
) -> Similarity:
    """How alike the maps of two targets of each image are: low is good.

    The random logit test of Sixt et al. 2020, arXiv:1912.09818, section 4.

    Parameters
    ----------
    explain : callable
        Gives maps, shape (N, H, W), of normalized images and targets.
    images : Tensor
        Normalized, shape (N, C, H, W).
    targets, others : Tensor
        Classes, int64 of shape (N,).
    """
    return compare(explain(images, targets), explain(images, others))


def score_falls(
    predict: PredictFn,
    images: Tensor,
    targets: Tensor,
    relevance: Tensor,
    grid: PatchGrid,
    fill: Fill,
    generator: torch.Generator,
    *,
    n_hidden: int,
    chunk: int | None = None,
) -> tuple[Tensor, Tensor]:
    """How far a target's score falls without its most, and without its least relevant patches.

    Where red speaks for the target, the first is above zero and above the second, whatever the sign
    of the score. The score is the logit, or the difference of the logits of a pair.

    Parameters
    ----------
    predict, images, grid, fill, generator, chunk
        As in `curves.perturbation_curve`.
    targets : Tensor
        Classes, int64 of shape (N,), or pairs of a target and its contrast, of shape (N, 2).
    relevance : Tensor
        Maps of these targets or pairs, shape (N, H, W).
    n_hidden : int
        Patches.

    Returns
    -------
    tuple of Tensor
        Falls without the most, and without the least relevant patches, shape (N,).
    """
    score: ScoreFn = logit if targets.ndim == 1 else logit_difference
    state = generator.get_state()
    falls = []
    for order in (most_relevant_first, least_relevant_first):
        generator.set_state(state)
        curve = perturbation_curve(
            predict, images, targets, grid, order(grid, relevance), fill, [0, n_hidden],
            generator, score=score, chunk=chunk,
        )  # fmt: skip
        falls.append(curve[:, 0] - curve[:, 1])
    return falls[0], falls[1]
