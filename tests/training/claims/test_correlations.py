"""Rank correlations with known answers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from training.claims.correlations import partial_correlation, rank_correlation, ranks


def noise(seed: int, n: int = 4, side: int = 24) -> Tensor:
    return torch.rand(n, side, side, generator=torch.Generator().manual_seed(seed))


def test_ties_share_their_mean_rank() -> None:
    found = ranks(torch.tensor([[[3.0, 1.0], [1.0, 2.0]]]))
    assert found.tolist() == [[4.0, 1.5, 1.5, 3.0]]


def test_any_rising_function_of_a_map_agrees_with_it_and_any_falling_one_opposes_it() -> None:
    maps = noise(0)
    torch.testing.assert_close(rank_correlation(maps, maps.exp()), torch.ones(4).double())
    torch.testing.assert_close(rank_correlation(maps, -(maps**3)), -torch.ones(4).double())


def test_a_map_of_noise_and_a_constant_one_agree_with_nothing() -> None:
    assert rank_correlation(noise(0), noise(1)).abs().max() < 0.15
    assert rank_correlation(noise(0), torch.ones(4, 24, 24)).tolist() == [0.0] * 4


def test_what_is_only_due_to_a_third_map_is_removed() -> None:
    common = noise(0)
    left, right = common + 0.3 * noise(1), common + 0.3 * noise(2)
    assert rank_correlation(left, right).min() > 0.8
    assert partial_correlation(left, right, common).abs().max() < 0.2


def test_what_is_not_due_to_a_third_map_stays() -> None:
    left, other = noise(0), noise(1)
    direct = rank_correlation(left, left + 0.5 * other)
    assert partial_correlation(left, left + 0.5 * other, noise(2)) == pytest.approx(
        direct, abs=0.05
    )


def test_nothing_is_left_of_a_map_that_is_the_third_one() -> None:
    assert partial_correlation(noise(0), noise(1), noise(0)).tolist() == [0.0] * 4
