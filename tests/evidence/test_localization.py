"""Localization of maps whose score is known: the mask itself, its inverse, a constant, noise."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from service.evidence.localization import pointing_game, relevance_mass, relevance_rank

MEASURES = (pointing_game, relevance_mass, relevance_rank)
Measure = Callable[[Tensor, Tensor], Tensor]


def masks(n: int, *shape: int, seed: int = 0) -> Tensor:
    drawn = torch.rand(n, *shape, generator=torch.Generator().manual_seed(seed)) < 0.3
    drawn[:, 0, 0] = True
    return drawn


@pytest.mark.parametrize("measure", MEASURES)
def test_the_mask_itself_scores_1_and_its_inverse_0(measure: Measure) -> None:
    mask = masks(6, 5, 7)
    assert measure(mask.float(), mask).tolist() == [1] * 6
    assert measure((~mask).float(), mask).tolist() == [0] * 6


@pytest.mark.parametrize("measure", MEASURES)
def test_a_constant_map_scores_the_share_of_the_mask(measure: Measure) -> None:
    mask = masks(6, 5, 7)
    torch.testing.assert_close(measure(torch.full((6, 5, 7), 0.2), mask), mask.float().mean((1, 2)))


@pytest.mark.parametrize("measure", MEASURES)
def test_noise_scores_the_share_of_the_mask_in_the_mean(measure: Measure) -> None:
    mask = masks(1, 5, 7).expand(4000, -1, -1)
    noise = torch.rand(4000, 5, 7, generator=torch.Generator().manual_seed(1))
    assert float(measure(noise, mask).mean()) == pytest.approx(float(mask.float().mean()), abs=0.03)


def test_mass_counts_positive_relevance_only() -> None:
    relevance = torch.tensor([[[3.0, -9.0], [1.0, 0.0]]])
    mask = torch.tensor([[[True, True], [False, False]]])
    assert relevance_mass(relevance, mask).tolist() == [0.75]


def test_mass_of_a_map_without_positive_relevance_is_0() -> None:
    mask = torch.ones(2, 2, 2, dtype=torch.bool)
    assert relevance_mass(-torch.ones(2, 2, 2), mask).tolist() == [0, 0]
    assert relevance_mass(torch.zeros(2, 2, 2), mask).tolist() == [0, 0]


def test_rank_counts_the_most_relevant_pixels_whatever_their_values() -> None:
    relevance = torch.tensor([[[100.0, 3.0], [2.0, 1.0]]])
    mask = torch.tensor([[[False, True], [True, False]]])
    assert relevance_rank(relevance, mask).tolist() == [0.5]
    assert pointing_game(relevance, mask).tolist() == [0]


def test_what_speaks_most_against_a_class_is_not_the_most_relevant() -> None:
    relevance = torch.tensor([[[-9.0, 3.0], [2.0, -1.0]], [[-9.0, -3.0], [-2.0, -1.0]]])
    mask = torch.tensor([[[False, True], [False, False]], [[False, False], [False, True]]])
    assert pointing_game(relevance, mask).tolist() == [1, 1]
    assert relevance_rank(relevance, mask).tolist() == [1, 1]


@given(
    st.lists(st.integers(-2, 2), min_size=4, max_size=4),
    st.lists(st.booleans(), min_size=4, max_size=4).filter(any),
)
def test_ties_score_the_mean_over_all_orders_of_them(values: list[int], inside: list[bool]) -> None:
    relevance, mask = torch.tensor([[values]]).float(), torch.tensor([[inside]])
    hits, shares = [], []
    for order in permutations(range(4)):  # a stable sort of each order of the pixels
        ranked = sorted(order, key=lambda pixel: -values[pixel])
        hits.append(float(inside[ranked[0]]))
        shares.append(sum(inside[pixel] for pixel in ranked[: sum(inside)]) / sum(inside))
    assert float(pointing_game(relevance, mask)) == pytest.approx(sum(hits) / 24)
    assert float(relevance_rank(relevance, mask)) == pytest.approx(sum(shares) / 24)


@pytest.mark.parametrize("measure", MEASURES)
def test_what_does_not_fit_is_refused(measure: Measure) -> None:
    relevance = torch.ones(1, 2, 2)
    with pytest.raises(ValueError, match="no pixel"):
        measure(relevance, torch.zeros(1, 2, 2, dtype=torch.bool))
    with pytest.raises(ValueError, match="bool"):
        measure(relevance, torch.ones(1, 2, 2))
    with pytest.raises(ValueError, match="bool"):
        measure(relevance, torch.ones(1, 2, 3, dtype=torch.bool))
