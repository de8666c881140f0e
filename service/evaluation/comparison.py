"""Comparison of methods on the same images: means, and which differences are significant."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from service.evidence.intervals import LEVEL, N_RESAMPLES, Interval, bootstrap

_ROUNDING = 1e-9  # of means of scores between -1 and 1


@dataclass(frozen=True, eq=False)
class Comparison:
    """Methods, the best first.

    Attributes
    ----------
    names : tuple of str
        The methods, by falling mean.
    intervals : tuple of Interval
        Of each method by itself.
    differs : Tensor
        Whether two methods differ significantly, bool of shape (methods, methods).
    n : int
        Number of images.
    """

    names: tuple[str, ...]
    intervals: tuple[Interval, ...]
    differs: Tensor
    n: int

    def is_better(self, left: str, right: str) -> bool:
        """Whether `left` has a significantly higher mean than `right`."""
        first, second = self.names.index(left), self.names.index(right)
        return first < second and bool(self.differs[first, second])

    def ties_with(self, name: str) -> list[str]:
        """The other methods that do not differ significantly from one."""
        index = self.names.index(name)
        row = zip(self.names, self.differs[index].tolist(), strict=True)
        return [other for other, differs in row if not differs and other != name]


def compare(
    values: Mapping[str, Tensor],
    seed: int = 0,
    n_resamples: int = N_RESAMPLES,
    level: float = LEVEL,
) -> Comparison:
    """Compare methods by their values on the same images, shape (N,), higher being better.

    All pairs of methods get the same random weights of the images. Of each draw the largest
    studentized deviation of any pair's difference is taken; a difference is significant that
    exceeds 95% of those. So the level holds for all pairs together, and however the pair was
    chosen: the single-step procedure of Romano and Wolf 2005, doi:10.1198/016214504000000539, with
    the multiplier bootstrap of Chernozhukov et al. 2013, arXiv:1212.6906. It is less strict than
    Bonferroni's, as methods that rise and fall together are one test. The limit is that of
    Student's distribution: of few images, the deviations are themselves uncertain.

    Parameters
    ----------
    values : mapping of str to Tensor
        Of each method.
    seed, n_resamples, level
        As in `bootstrap`.
    """
    ranked = sorted(values, key=lambda name: -float(values[name].double().mean()))
    table = torch.stack([values[name].double().cpu() for name in ranked])
    intervals = tuple(bootstrap(row, seed, n_resamples, level) for row in table)
    differs = _differs(table, seed, n_resamples, level)
    return Comparison(tuple(ranked), intervals, differs, table.shape[1])


def _differs(table: Tensor, seed: int, n_resamples: int, level: float) -> Tensor:
    """Pairs whose difference is significant, bool of shape (methods, methods)."""
    n_methods, n = table.shape
    first, second = torch.triu_indices(n_methods, n_methods, offset=1)
    found = torch.zeros(n_methods, n_methods, dtype=torch.bool)
    if not len(first):
        return found
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(n_resamples, n, generator=generator, dtype=table.dtype)
    means = weights @ (table - table.mean(1, keepdim=True)).T / math.sqrt(n * (n - 1))
    difference = table[first].mean(1) - table[second].mean(1)
    deviations = (means[:, first] - means[:, second]).abs()
    spread = deviations.square().mean(0).sqrt().clamp(min=_ROUNDING)
    limit = student_quantile(float((deviations / spread).amax(1).quantile(level)), n - 1)
    found[first, second] = difference.abs() > (limit * spread).clamp(min=_ROUNDING)
    return found | found.T


def student_quantile(normal: float, dof: int) -> float:
    """The quantile of Student's distribution at the level of a quantile of the normal one.

    The expansion of Abramowitz and Stegun 1964, 26.7.5.
    """
    terms = ((1, 1), (3, 16, 5), (-15, 17, 19, 3), (-945, -1920, 1482, 776, 79))
    scales = (4, 96, 384, 92160)
    found = normal
    for power, (term, scale) in enumerate(zip(terms, scales, strict=True), 1):
        value = sum(factor * normal ** (2 * n + 1) for n, factor in enumerate(term))
        found += value / (scale * dof**power)
    return found
