"""The control of the ground truth passes for who looks at the right object, and for nobody else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.training.ground_truth.observers import read_background, read_distractors, read_marked
from training.ground_truth.interventions import INTERVENTIONS, Changed, LogitsFn, intervene
from training.ground_truth.scenes import Scenes
from training.ground_truth.shapes import SHAPES
from training.ground_truth.variants import VARIANTS, draw_pairs

N = 150


@pytest.fixture(scope="module")
def marked() -> Scenes:
    return VARIANTS["marked"](N, np.random.default_rng(0))


def shares(scenes: Scenes, logits: LogitsFn) -> dict[str, float]:
    held = intervene("marked", logits, scenes, seed=0)
    return {name: float(values.mean()) for name, values in held.items()}


def test_the_marked_object_alone_is_enough_to_answer_everything(marked: Scenes) -> None:
    assert min(shares(marked, read_marked).values()) > 0.97


def test_who_reads_a_distractor_is_found_out(marked: Scenes) -> None:
    found = shares(marked, read_distractors)
    assert max(found.values()) < 0.5


def test_who_reads_the_background_is_found_out(marked: Scenes) -> None:
    assert max(shares(marked, read_background).values()) < 0.5


def test_labels_of_a_distractor_are_found_out(marked: Scenes) -> None:
    of_distractor = replace(marked, shape=np.roll(marked.shape, 1, 1))
    assert Changed(of_distractor, of_distractor.labels[:, None]).holds(read_marked).mean() > 0.9
    wrong = Changed(marked, of_distractor.labels[:, None])
    assert wrong.holds(read_marked).mean() < 0.5


@pytest.mark.parametrize("name", list(INTERVENTIONS["marked"]))
def test_an_intervention_changes_only_what_it_names(marked: Scenes, name: str) -> None:
    changed = INTERVENTIONS["marked"][name](marked, np.random.default_rng(1)).scenes
    parts = ("shape", "top", "left", "is_there", "color", "background")
    different = {part for part in parts if (getattr(changed, part) != getattr(marked, part)).any()}
    assert (
        different
        == {
            "unchanged": set(),
            "another shape": {"shape"},
            "another object marked": {"color"},
            "other distractors": {"shape", "color"},
            "other places": {"top", "left"},
            "another background": {"background"},
        }[name]
    )


def test_another_shape_is_never_the_same(marked: Scenes) -> None:
    changed = INTERVENTIONS["marked"]["another shape"](marked, np.random.default_rng(1))
    assert (changed.scenes.labels != marked.labels).all()
    np.testing.assert_array_equal(changed.answers[:, 0], changed.scenes.labels)
    np.testing.assert_array_equal(changed.scenes.shape[:, 1:], marked.shape[:, 1:])


def test_answers_of_two_objects_are_a_set() -> None:
    scenes = draw_pairs(2, np.random.default_rng(0))
    changed = INTERVENTIONS["two"]["unchanged"](scenes, np.random.default_rng(0))
    right = np.zeros((2, len(SHAPES)), np.float32)
    np.put_along_axis(right, scenes.shape, np.array([[2, 1], [1, 2]], np.float32), 1)
    assert changed.holds(lambda _: right).all()
    assert not changed.holds(lambda _: -right).any()


def test_the_object_that_is_left_is_the_answer() -> None:
    scenes = draw_pairs(50, np.random.default_rng(0))
    rng = np.random.default_rng(0)
    for name, left in (("first object removed", 1), ("second object removed", 0)):
        changed = INTERVENTIONS["two"][name](scenes, rng)
        np.testing.assert_array_equal(changed.answers[:, 0], scenes.shape[:, left])
        assert not changed.scenes.masks()[:, 1 - left].any()
        np.testing.assert_array_equal(changed.scenes.masks()[:, left], scenes.masks()[:, left])
