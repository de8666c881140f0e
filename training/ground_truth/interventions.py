"""Interventions: what a network answers when one part of a scene is replaced.

They are the control of the ground truth. A network that looks at something else than the object
that decides gives another answer when something else is replaced, or the same when that object is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from training.ground_truth.scenes import DECIDER, Scenes, place_boxes
from training.ground_truth.shapes import SHAPES
from training.ground_truth.textures import Pixels

LogitsFn = Callable[[Pixels], NDArray[np.float32]]  # images (N, H, W, 3) to logits (N, classes)


@dataclass(frozen=True)
class Changed:
    """Scenes in which something was replaced, and the answers that the network has to give.

    Attributes
    ----------
    scenes : Scenes
        What to render.
    answers : NDArray[int64]
        The classes that have to have the highest logits, in any order, shape (N, answers).
    """

    scenes: Scenes
    answers: NDArray[np.int64]

    def holds(self, logits: LogitsFn) -> NDArray[np.bool_]:
        """Whether the network gives the answers, shape (N,)."""
        n_answers = self.answers.shape[1]
        ranked = np.argsort(-logits(self.scenes.render()), 1)[:, :n_answers]
        same: NDArray[np.bool_] = (np.sort(ranked, 1) == np.sort(self.answers, 1)).all(1)
        return same


ChangeFn = Callable[[Scenes, np.random.Generator], Changed]


def unchanged(scenes: Scenes, rng: np.random.Generator) -> Changed:
    """The images as they are."""
    return Changed(scenes, scenes.labels[:, None])


def other_shape(scenes: Scenes, rng: np.random.Generator) -> Changed:
    """The object that decides gets another shape: the answer follows."""
    step = rng.integers(1, len(SHAPES), len(scenes))
    shape = scenes.shape.copy()
    shape[:, DECIDER] = (shape[:, DECIDER] + step) % len(SHAPES)
    return unchanged(replace(scenes, shape=shape), rng)


def other_place(scenes: Scenes, rng: np.random.Generator) -> Changed:
    """All objects are elsewhere: the answer stays."""
    top, left, box_px = place_boxes(len(scenes), scenes.n_objects, rng)
    return unchanged(replace(scenes, top=top, left=left, box_px=box_px), rng)


def other_background(scenes: Scenes, rng: np.random.Generator) -> Changed:
    """Each image gets the background of the one before: the answer stays."""
    return unchanged(replace(scenes, background=np.roll(scenes.background, 1, 0)), rng)


def other_distractors(scenes: Scenes, rng: np.random.Generator) -> Changed:
    """Shapes and colours of the objects that do not decide are those of the image before."""
    shape, color = scenes.shape.copy(), scenes.color.copy()
    shape[:, 1:], color[:, 1:] = np.roll(shape[:, 1:], 1, 0), np.roll(color[:, 1:], 1, 0)
    return unchanged(replace(scenes, shape=shape, color=color), rng)


def other_mark(scenes: Scenes, rng: np.random.Generator) -> Changed:
    """The first two objects swap colours: the answer is the shape of the other one."""
    color = scenes.color.copy()
    color[:, :2] = color[:, 1::-1]
    return Changed(replace(scenes, color=color), scenes.shape[:, 1:2])


def both_shapes(scenes: Scenes, rng: np.random.Generator) -> Changed:
    """Images with two objects as they are: both shapes are ahead of all others."""
    return Changed(scenes, scenes.shape)


def without_first(scenes: Scenes, rng: np.random.Generator) -> Changed:
    """The first object is taken away: the answer is the shape of the second."""
    return Changed(_without(scenes, 0), scenes.shape[:, 1:])


def without_second(scenes: Scenes, rng: np.random.Generator) -> Changed:
    """The second object is taken away: the answer is the shape of the first."""
    return Changed(_without(scenes, 1), scenes.shape[:, :1])


def both_elsewhere(scenes: Scenes, rng: np.random.Generator) -> Changed:
    """Other places and another background: both shapes are still ahead of all others."""
    moved = other_background(other_place(scenes, rng).scenes, rng)
    return both_shapes(moved.scenes, rng)


INTERVENTIONS: Mapping[str, Mapping[str, ChangeFn]] = MappingProxyType(
    {
        "shapes": {
            "unchanged": unchanged,
            "another shape": other_shape,
            "another place": other_place,
            "another background": other_background,
        },
        "marked": {
            "unchanged": unchanged,
            "another shape": other_shape,
            "another object marked": other_mark,
            "other distractors": other_distractors,
            "other places": other_place,
            "another background": other_background,
        },
        "two": {
            "unchanged": both_shapes,
            "first object removed": without_first,
            "second object removed": without_second,
            "other places and background": both_elsewhere,
        },
    }
)


def intervene(
    variant: str, logits: LogitsFn, scenes: Scenes, seed: int
) -> dict[str, NDArray[np.bool_]]:
    """Whether the network answers each intervention as it has to, by intervention, shape (N,)."""
    rng = np.random.default_rng(seed)
    return {
        name: change(scenes, rng).holds(logits) for name, change in INTERVENTIONS[variant].items()
    }


def _without(scenes: Scenes, index: int) -> Scenes:
    is_there = scenes.is_there.copy()
    is_there[:, index] = False
    return replace(scenes, is_there=is_there)
