"""Means over images with bootstrap intervals."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

N_RESAMPLES = 2000
LEVEL = 0.95
_VALUES_AT_ONCE = 2**22


@dataclass(frozen=True)
class Interval:
    """A mean, and the percentile interval of its bootstrap distribution.

    Attributes
    ----------
    mean, low, high : float
        The bounds are those of 95%.
    n : int
        Number of values.
    """

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.3g} [{self.low:.3g}, {self.high:.3g}] (n = {self.n})"

    @property
    def excludes_zero(self) -> bool:
        """Whether zero is outside: of a difference, whether it is significant."""
        return not self.low <= 0 <= self.high


def bootstrap(
    values: Tensor,
    generator: torch.Generator | int = 0,
    n_resamples: int = N_RESAMPLES,
    level: float = LEVEL,
) -> Interval:
    """The mean of values and its percentile bootstrap interval: Efron 1979.

    Parameters
    ----------
    values : Tensor
        One for each image, shape (N,), N at least 2, all finite.
    generator : torch.Generator or int
        Draws the samples, or seeds them.
    n_resamples : int
        Number of samples of N values with replacement.
    level : float
        Share of the samples whose mean is inside.
    """
    values = values.detach().double().cpu()
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"an interval takes two values or more, not {tuple(values.shape)}")
    if not bool(values.isfinite().all()):
        raise ValueError("an interval takes finite values only")
    if isinstance(generator, int):
        generator = torch.Generator().manual_seed(generator)
    n, means = len(values), []
    for part in torch.arange(n_resamples).split(max(1, _VALUES_AT_ONCE // n)):
        drawn = torch.randint(n, (len(part), n), generator=generator)
        means.append(values[drawn].mean(1))
    tail = (1 - level) / 2
    low, high = torch.cat(means).quantile(torch.tensor([tail, 1 - tail]).double()).tolist()
    return Interval(float(values.mean()), low, high, n)


def paired_difference(
    left: Tensor,
    right: Tensor,
    generator: torch.Generator | int = 0,
    n_resamples: int = N_RESAMPLES,
    level: float = LEVEL,
) -> Interval:
    """The mean of `left` - `right`, image by image: images are drawn, not values."""
    if left.shape != right.shape:
        raise ValueError(f"pairs of {tuple(left.shape)} and {tuple(right.shape)} values")
    return bootstrap(left.double() - right.double(), generator, n_resamples, level)
