"""Maps with a known score: the answer itself, its inverse, a constant, and a shifted answer."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from training.ground_truth.questions import METRICS, Question, ask
from training.ground_truth.scenes import DECIDER
from training.ground_truth.variants import VARIANTS, draw_pairs

N = 50


@pytest.fixture(scope="module")
def question() -> Question:
    return ask("marked", VARIANTS["marked"](N, np.random.default_rng(0)))[0]


@pytest.fixture(scope="module")
def contrast() -> Question:
    return ask("two", draw_pairs(N, np.random.default_rng(0)))[1]


def means(question: Question, maps: NDArray[np.float32]) -> list[float]:
    scores = question.score(maps)
    assert all(len(values) == len(maps) for values in scores.values())
    return [float(np.mean(scores[name])) for name in METRICS]


def test_the_answer_itself_has_full_marks_and_its_inverse_none(question: Question) -> None:
    answer = question.positive.astype(np.float32)
    assert means(question, answer) == [1, 1, 1]
    assert means(question, -answer) == [0, 0, 0]


def test_a_constant_gets_the_share_of_the_object(question: Question) -> None:
    share = float(question.positive.mean())
    assert means(question, np.ones(question.positive.shape, np.float32)) == pytest.approx(
        [share] * 3, abs=1e-4
    )


def test_noise_gets_the_share_of_the_object(question: Question) -> None:
    noise = np.random.default_rng(0).uniform(0, 1, question.positive.shape).astype(np.float32)
    assert means(question, noise)[1:] == pytest.approx([question.positive.mean()] * 2, abs=0.02)


def test_a_shifted_answer_is_wrong(question: Question) -> None:
    shifted = np.roll(question.positive, 12, 2).astype(np.float32)
    assert max(means(question, shifted)) < 0.05


def test_the_object_of_another_class_is_wrong(question: Question) -> None:
    scenes = VARIANTS["marked"](N, np.random.default_rng(0))
    distractor = scenes.masks()[:, 1].astype(np.float32)
    assert max(means(question, distractor)) < 0.02  # where the rest ties, some of it is inside


def test_a_contrast_needs_both_signs_in_their_places(contrast: Question) -> None:
    assert contrast.negative is not None
    of_first, of_second = (m.astype(np.float32) for m in (contrast.positive, contrast.negative))
    assert means(contrast, of_first - of_second) == [1, 1, 1]
    assert means(contrast, of_second - of_first) == [0, 0, 0]
    assert max(means(contrast, of_first + of_second)) < 0.6  # signs are not told apart
    assert means(contrast, of_first)[1] == 0.5


def test_the_contrast_is_between_the_shapes_of_the_two_objects(contrast: Question) -> None:
    scenes = draw_pairs(N, np.random.default_rng(0))
    np.testing.assert_array_equal(contrast.targets, scenes.shape[:, DECIDER])
    np.testing.assert_array_equal(contrast.contrasts, scenes.shape[:, 1 - DECIDER])


def test_the_first_images_of_a_question(contrast: Question) -> None:
    part = contrast.first(3)
    assert part.contrasts is not None
    assert part.negative is not None
    lengths = {len(one) for one in (part.targets, part.contrasts, part.positive, part.negative)}
    assert lengths == {3}
