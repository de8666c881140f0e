"""Bootstrap intervals hold what they say, and tell a difference from none."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from service.evidence.intervals import Interval, bootstrap, paired_difference


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_an_interval_is_that_of_the_normal_distribution() -> None:
    found = bootstrap(3 + 2 * normal(2500), n_resamples=4000)
    assert found.n == 2500
    assert found.mean == pytest.approx(3, abs=0.12)
    assert found.high - found.low == pytest.approx(2 * 1.96 * 2 / 50, rel=0.1)


def test_95_of_100_intervals_hold_the_mean() -> None:
    samples = normal(400, 60, seed=3).exp()  # skewed: 93 to 94 of 100 are usual
    true_mean = 0.5
    held = 0
    for seed, values in enumerate(samples):
        found = bootstrap(values, seed, 400)
        held += found.low <= torch.e**true_mean <= found.high
    assert 0.88 < held / 400 < 0.98


def test_a_constant_has_an_interval_without_width() -> None:
    assert bootstrap(torch.full((9,), 0.25)) == Interval(0.25, 0.25, 0.25, 9)


def test_the_seed_gives_the_same_interval_again() -> None:
    values = normal(50)
    assert bootstrap(values, 4) == bootstrap(values, torch.Generator().manual_seed(4))
    assert bootstrap(values, 4) != bootstrap(values, 5)


def test_pairs_tell_a_small_difference_that_means_do_not() -> None:
    left = 10 * normal(200)
    right = left + 0.1 + 0.2 * normal(200, seed=1)
    difference = paired_difference(right, left)
    assert difference.excludes_zero
    assert difference.mean == pytest.approx(0.1, abs=0.05)
    assert bootstrap(left).low < bootstrap(right).mean < bootstrap(left).high


def test_no_difference_is_not_significant() -> None:
    significant = [
        paired_difference(normal(80, seed=seed), normal(80, seed=1000 + seed), seed, 500)
        for seed in range(100)
    ]
    assert sum(one.excludes_zero for one in significant) < 14  # 5 are expected


def test_what_has_no_interval_is_refused() -> None:
    with pytest.raises(ValueError, match="two values"):
        bootstrap(torch.ones(1))
    with pytest.raises(ValueError, match="finite"):
        bootstrap(torch.tensor([1.0, float("nan")]))
    with pytest.raises(ValueError, match="pairs"):
        paired_difference(torch.ones(2), torch.ones(3))


def test_an_interval_reads_as_text() -> None:
    assert str(Interval(0.12345, 0.1, 0.2, 7)) == "0.123 [0.1, 0.2] (n = 7)"
