"""Faithfulness correlation on a linear model: 1 for its perfect explanation, -1 for the inverse."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from service.evidence.baselines import random_maps
from service.evidence.correlation import faithfulness_correlation
from service.evidence.curves import ScoreFn, logit, probability
from service.evidence.fills import constant_fill
from service.evidence.patches import PatchGrid
from tests.evidence.linear_model import LinearModel, bright_images

SHAPE = (3, 8, 6)
MODEL = LinearModel.of_shape(*SHAPE)
IMAGES = bright_images(6, *SHAPE)
PERFECT = MODEL.explain(IMAGES)


def correlation(
    relevance: Tensor, *, score: ScoreFn = logit, side: int = 1, n_hidden: int = 8, seed: int = 0
) -> Tensor:
    return faithfulness_correlation(
        MODEL, IMAGES[: len(relevance)], torch.ones(len(relevance), dtype=torch.int64), relevance,
        PatchGrid(8, 6, side), constant_fill(0.0), torch.Generator().manual_seed(seed),
        n_hidden=n_hidden, score=score,
    )  # fmt: skip


@given(st.integers(1, 4), st.integers(1, 3))
@settings(deadline=None, max_examples=10)
def test_the_perfect_explanation_has_1_and_its_inverse_minus_1(side: int, n_hidden: int) -> None:
    found = correlation(PERFECT, side=side, n_hidden=n_hidden)
    assert found.tolist() == pytest.approx([1] * 6, abs=1e-4)
    inverse = correlation(-3 * PERFECT, side=side, n_hidden=n_hidden)
    assert inverse.tolist() == pytest.approx([-1] * 6, abs=1e-4)


def test_the_probability_falls_with_the_relevance_too() -> None:
    assert bool((correlation(PERFECT, score=probability) > 0.8).all())


@pytest.mark.parametrize("value", [0.0, 0.1])
def test_a_constant_map_has_0(value: float) -> None:
    assert correlation(torch.full_like(PERFECT, value)).tolist() == [0] * 6


def test_noise_has_0_in_the_mean() -> None:
    found = torch.stack([correlation(random_maps(IMAGES, seed), seed=seed) for seed in range(40)])
    # the standard error is about 0.2 / sqrt(240): maps are short, of 48 pixels
    assert abs(float(found.mean())) < 0.06


def test_an_image_does_not_depend_on_the_others() -> None:
    noise = random_maps(IMAGES)
    torch.testing.assert_close(correlation(noise)[:1], correlation(noise[:1]), rtol=0, atol=1e-5)
