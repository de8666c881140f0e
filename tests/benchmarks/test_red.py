"""What is red speaks for the class, whatever the sign of its logit, as users get it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.red import (
    EPSILON_COMPOSITES,
    GOAL,
    Images,
    Outcome,
    correlation,
    read_images,
    reddest,
    summarize,
)
from service.runtime.engine import Engine
from tests.helpers.record_predictions import SAMPLES

N_IMAGES = 30


@pytest.fixture(scope="module")
def images(engine: Engine) -> Images:
    return Images(engine, read_images(SAMPLES, N_IMAGES))


@pytest.mark.parametrize("composite", EPSILON_COMPOSITES)
def test_with_the_default_start_the_score_falls_without_what_is_reddest(
    images: Images, composite: str
) -> None:
    summaries = summarize(images.outcomes(composite, None))
    assert {(one.is_contrast, one.is_positive) for one in summaries} == {
        (False, False),
        (False, True),
        (True, False),
        (True, True),
    }
    for one in summaries:
        assert one.start == "logit"
        assert one.n > 20, one
        assert one.falls >= GOAL, one
        assert one.change < 0, one
        assert one.correlation > 0, one


def test_started_with_1_the_score_rises_where_it_is_negative(images: Images) -> None:
    summaries = summarize(images.outcomes("epsilon_plus_flat", "one_hot"))
    logits = {one.is_positive: one for one in summaries if not one.is_contrast}
    assert logits[True].falls >= GOAL
    assert logits[False].falls < 0.1
    assert logits[False].correlation < 0


def test_the_reddest_tenth_is_that_of_the_highest_relevance() -> None:
    relevance = np.arange(40, dtype=np.float32).reshape(5, 8)
    assert reddest(relevance).sum() == 4
    assert reddest(relevance)[4, 4:].all()


def test_a_constant_map_has_no_correlation() -> None:
    relevance = np.arange(4, dtype=np.float32).reshape(2, 2)
    assert math.isnan(correlation(relevance, np.ones_like(relevance)))
    assert correlation(relevance, 2 * relevance + 1) == pytest.approx(1)
    assert correlation(relevance, -relevance) == pytest.approx(-1)


def test_a_summary_counts_each_kind_and_sign_alone() -> None:
    outcomes = [
        Outcome("epsilon_plus", "logit", False, 1.0, -2.0, 0.5),
        Outcome("epsilon_plus", "logit", False, 3.0, 1.0, math.nan),
        Outcome("epsilon_plus", "logit", False, -1.0, -1.0, 0.25),
        Outcome("epsilon_plus", "logit", True, 1.0, -1.0, 0.25),
    ]
    summaries = {(one.is_contrast, one.is_positive): one for one in summarize(outcomes)}
    both = summaries[False, True]
    assert (both.n, both.falls, both.change, both.correlation) == (2, 0.5, -0.5, 0.5)
    assert (summaries[False, False].n, summaries[True, True].n) == (1, 1)


def test_too_few_images_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="has 0 images"):
        read_images(tmp_path, 1)
