"""Perturbation curves: a class's score while patches are hidden or shown in an order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from service.evidence.chunks import images_at_once, pairs
from service.evidence.fills import Fill
from service.evidence.patches import PatchGrid

PredictFn = Callable[[Tensor], Tensor]  # normalized images (N, C, H, W) -> logits (N, K)
ScoreFn = Callable[[Tensor, Tensor], Tensor]  # logits (N, K), targets (N, ...) -> scores (N,)
MaskFn = Callable[[Tensor, Tensor], Tensor]  # images and variants (M,) -> hidden pixels (M, H, W)

_CALLS_PER_FILL = 4  # a fill takes less memory than a network, and is faster with more images


def probability(logits: Tensor, targets: Tensor) -> Tensor:
    """Softmax probability of the targets, shape (N,)."""
    return logits.softmax(1).gather(1, targets[:, None])[:, 0]


def logit(logits: Tensor, targets: Tensor) -> Tensor:
    """Logit of the targets, shape (N,)."""
    return logits.gather(1, targets[:, None])[:, 0]


def logit_difference(logits: Tensor, targets: Tensor) -> Tensor:
    """Logit of a target minus that of its contrast, shape (N,), of pairs of shape (N, 2)."""
    both = logits.gather(1, targets)
    return both[:, 0] - both[:, 1]


def is_predicted(logits: Tensor, targets: Tensor) -> Tensor:
    """1 where the target is the likeliest class, else 0, shape (N,): its mean is an accuracy."""
    return (logits.argmax(1) == targets).to(logits)


def perturbed_scores(
    predict: PredictFn,
    images: Tensor,
    targets: Tensor,
    mask: MaskFn,
    n_variants: int,
    fill: Fill,
    generator: torch.Generator,
    *,
    score: ScoreFn = probability,
    chunk: int | None = None,
) -> Tensor:
    """Score each image with other pixels hidden: shape (N, n_variants).

    Parameters
    ----------
    mask : callable
        The hidden pixels, bool of shape (M, H, W), of indices of images and of variants.
    predict, images, targets, fill, generator, score, chunk
        As in `perturbation_curve`.
    """
    seed = int(torch.randint(2**62, (), generator=generator))
    chunk = chunk or images_at_once(images)
    scores = []
    for rows, variants in pairs(len(images), n_variants, _CALLS_PER_FILL * chunk):
        filled = fill(images[rows], mask(rows, variants), torch.Generator().manual_seed(seed))
        with torch.no_grad():
            logits = torch.cat([predict(some) for some in filled.split(chunk)])
        scores.append(score(logits, targets[rows]))
    found = torch.cat(scores) if scores else images.new_zeros(0)
    return found.view(len(images), n_variants)


def perturbation_curve(
    predict: PredictFn,
    images: Tensor,
    targets: Tensor,
    grid: PatchGrid,
    order: Tensor,
    fill: Fill,
    counts: Sequence[int],
    generator: torch.Generator,
    *,
    score: ScoreFn = probability,
    chunk: int | None = None,
) -> Tensor:
    """Score of the target with the first `counts` patches of each order hidden.

    Pixel flipping (Bach et al. 2015, doi:10.1371/journal.pone.0130140) with patches of one pixel,
    region perturbation (Samek et al. 2017, arXiv:1509.06321) with larger ones, selectivity
    (Montavon et al. 2018, arXiv:1706.07979), the deletion metric (Petsiuk et al. 2018,
    arXiv:1806.07421), and ROAD (Rong et al. 2022, arXiv:2202.00449) with the fill "linear" and the
    score `is_predicted`: they differ in patches, fill, order and score only. Of each count all is
    filled at once, not step by step, so that a fill never sees another fill.

    Parameters
    ----------
    predict : callable
        Gives the logits of normalized images.
    images : Tensor
        Normalized, shape (N, C, H, W).
    targets : Tensor
        Classes, int64 of shape (N,); with the score `logit_difference` pairs, of shape (N, 2).
    grid : PatchGrid
        Of the size of the images.
    order : Tensor
        Patches in the order in which they are hidden, int64 of shape (N, P).
    fill : Fill
        What hidden pixels show.
    counts : sequence of int
        Numbers of hidden patches, each from 0 to P.
    generator : torch.Generator
        Seeds the fill: its random numbers are the same for each image and count.
    score : callable
        Of logits and targets; the softmax probability by default.
    chunk : int, optional
        Images in one call of `predict`; by default as many as fit into bounded memory.

    Returns
    -------
    Tensor
        Shape (N, len(counts)). Rows do not depend on each other, nor on `chunk`.
    """
    limits = _checked(counts, grid).to(images.device)
    ranks = grid.ranks(order.to(images.device))
    return perturbed_scores(
        predict, images, targets,
        lambda rows, steps: ranks[rows] < limits[steps].view(-1, 1, 1),
        len(limits), fill, generator, score=score, chunk=chunk,
    )  # fmt: skip


def insertion_curve(
    predict: PredictFn,
    images: Tensor,
    targets: Tensor,
    grid: PatchGrid,
    order: Tensor,
    fill: Fill,
    counts: Sequence[int],
    generator: torch.Generator,
    *,
    score: ScoreFn = probability,
    chunk: int | None = None,
) -> Tensor:
    """Score of the target with only the first `counts` patches of each order shown.

    The insertion metric of Petsiuk et al. 2018, arXiv:1806.07421: a good order, most relevant
    first, rises early. Parameters and result are those of `perturbation_curve`.
    """
    hidden = [grid.n_patches - count for count in counts]
    return perturbation_curve(
        predict, images, targets, grid, order.flip(1), fill, hidden, generator,
        score=score, chunk=chunk,
    )  # fmt: skip


def area(curve: Tensor, shares: Sequence[float]) -> Tensor:
    """Area under each curve by trapezoids, over the width of the shares: its mean height.

    Parameters
    ----------
    curve : Tensor
        Of shape (N, S).
    shares : sequence of float
        Share of the image that is hidden, or shown, at each point, rising; at least two.

    Returns
    -------
    Tensor
        Shape (N,).
    """
    x = torch.tensor(list(shares), dtype=curve.dtype, device=curve.device)
    if len(x) < 2 or not bool((x.diff() > 0).all()):
        raise ValueError(f"shares have to be two or more that rise: {list(shares)}")
    return torch.trapezoid(curve, x, dim=1) / (x[-1] - x[0])


def _checked(counts: Sequence[int], grid: PatchGrid) -> Tensor:
    limits = torch.tensor(list(counts), dtype=torch.int64)
    if bool(((limits < 0) | (limits > grid.n_patches)).any()):
        raise ValueError(f"counts have to be from 0 to {grid.n_patches}: {list(counts)}")
    return limits
