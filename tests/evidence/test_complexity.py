"""Sparseness, complexity and completeness of maps for which they are known."""

from __future__ import annotations

from math import log

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from service.evidence.complexity import complexity, sparseness
from service.evidence.conservation import completeness_gap, score_above_baseline
from service.evidence.curves import probability
from tests.evidence.linear_model import LinearModel, bright_images


@pytest.mark.parametrize("value", [0.0, 0.1, -7.0])
def test_a_constant_map_is_least_sparse_and_most_complex(value: float) -> None:
    flat = torch.full((2, 5, 7), value)
    assert sparseness(flat).tolist() == pytest.approx([0, 0], abs=1e-12)
    assert complexity(flat).tolist() == pytest.approx([log(35)] * 2)


@given(st.integers(0, 34), st.floats(0.1, 10), st.booleans())
def test_a_single_pixel_is_most_sparse_and_least_complex(
    pixel: int, value: float, is_negative: bool
) -> None:
    single = torch.zeros(1, 5, 7)
    single.view(-1)[pixel] = -value if is_negative else value
    assert sparseness(single).tolist() == pytest.approx([1 - 1 / 35])
    assert complexity(single).tolist() == pytest.approx([0], abs=1e-12)


@given(st.integers(1, 35))
def test_k_equal_pixels_have_the_entropy_of_k(k: int) -> None:
    maps = torch.zeros(1, 5, 7)
    maps.view(-1)[:k] = 3
    assert complexity(maps).tolist() == pytest.approx([log(k)], abs=1e-9)
    assert sparseness(maps).tolist() == pytest.approx([1 - k / 35], abs=1e-9)


def test_noise_has_the_gini_index_of_its_distribution() -> None:
    noise = torch.rand(1, 200, 200, generator=torch.Generator().manual_seed(0))
    assert sparseness(noise).tolist() == pytest.approx([1 / 3], abs=0.01)
    normal = torch.randn(1, 200, 200, generator=torch.Generator().manual_seed(0))
    assert sparseness(normal).tolist() == pytest.approx([2**0.5 - 1], abs=0.01)


def test_the_perfect_explanation_is_complete_and_others_are_not() -> None:
    model, images = LinearModel.of_shape(3, 8, 6), bright_images(4, 3, 8, 6)
    targets = torch.ones(4, dtype=torch.int64)
    totals = score_above_baseline(model, images, targets, torch.zeros(1, 3, 8, 6), chunk=3)
    perfect = model.explain(images).sum((1, 2))
    assert completeness_gap(perfect, totals).tolist() == pytest.approx([0] * 4, abs=1e-5)
    assert completeness_gap(-perfect, totals).tolist() == pytest.approx([2] * 4, abs=1e-5)
    assert completeness_gap(0.75 * perfect, totals).tolist() == pytest.approx([0.25] * 4, abs=1e-5)
    assert completeness_gap(torch.zeros(4), totals).tolist() == [1] * 4
    assert completeness_gap(torch.tensor([0.0, 2.0]), torch.zeros(2)).tolist() == [0, float("inf")]


def test_a_score_stands_above_that_of_the_baseline() -> None:
    model, images = LinearModel.of_shape(1, 4, 4), bright_images(2, 1, 4, 4)
    targets = torch.tensor([0, 1])
    found = score_above_baseline(model, images, targets, torch.zeros(1, 1, 4, 4), score=probability)
    torch.testing.assert_close(found, probability(model(images), targets) - 0.5)
