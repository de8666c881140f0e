"""Completeness: whether relevance adds up to what it explains."""

from __future__ import annotations

import torch
from torch import Tensor

from service.evidence.chunks import images_at_once
from service.evidence.curves import PredictFn, ScoreFn, logit


def completeness_gap(sums: Tensor, totals: Tensor) -> Tensor:
    """How far sums of relevance are from what they should be, relative to it: shape (N,).

    Sundararajan et al. 2017, arXiv:1703.01365, proposition 1, as a measure instead of an equality,
    which rounding breaks. 0 for a map that adds up; infinite if there was nothing to explain.

    Parameters
    ----------
    sums : Tensor
        Sum of each map, shape (N,).
    totals : Tensor
        What is explained: the output relevance, or the difference of `score_above_baseline`.
    """
    gap = (sums.double() - totals.double()).abs()
    return torch.where(gap > 0, gap / totals.double().abs(), 0)


def score_above_baseline(
    predict: PredictFn,
    images: Tensor,
    targets: Tensor,
    baseline: Tensor,
    *,
    score: ScoreFn = logit,
    chunk: int | None = None,
) -> Tensor:
    """Score of each target minus that of an image without evidence, shape (N,).

    Parameters
    ----------
    predict, images, targets, score, chunk
        As in `curves.perturbation_curve`; the score is the logit by default.
    baseline : Tensor
        Normalized, shape (1, C, H, W).
    """
    with torch.no_grad():
        parts = [predict(some) for some in images.split(chunk or images_at_once(images))]
        nothing = predict(baseline).expand(len(images), -1)
    return score(torch.cat(parts), targets) - score(nothing, targets)
