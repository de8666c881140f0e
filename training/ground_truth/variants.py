"""Variants of the data set: each asks another question, and all have an exact answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray

from training.data import DataSet, Split
from training.ground_truth.scenes import SIZE, Scenes, place_boxes
from training.ground_truth.shapes import SHAPES
from training.ground_truth.textures import backgrounds, grains, saturated

N_TRAIN, N_TEST = 10_000, 2_000
_TRAIN, _TEST, _PAIRS = range(3)  # streams of random numbers that have nothing in common
_MARK_TURNS = 0.04  # the marked object is red: its hue lies this close to 0, in turns
_OTHER_TURNS = 0.2  # hues of the others lie at least this far away

DrawFn = Callable[[int, np.random.Generator], Scenes]


def draw_shapes(n: int, rng: np.random.Generator) -> Scenes:
    """Draw one object of any colour on a texture; the question is which shape it has."""
    hue = rng.uniform(0, 1, (n, 1))
    return _draw(_random_shapes(n, 1, rng), np.ones((n, 1), np.bool_), hue, rng)


def draw_marked(n: int, rng: np.random.Generator) -> Scenes:
    """Draw three objects of any shapes, one of them red; the question is which shape that has."""
    hue = rng.uniform(_OTHER_TURNS, 1 - _OTHER_TURNS, (n, 3))
    hue[:, 0] = rng.uniform(-_MARK_TURNS, _MARK_TURNS, n)
    return _draw(_random_shapes(n, 3, rng), np.ones((n, 3), np.bool_), hue, rng)


def draw_two(n: int, rng: np.random.Generator) -> Scenes:
    """Draw one object or two of different shapes, half of the images each.

    The label is the shape of one of the two by chance, so that a network has to give both their
    shapes half of the probability, and every other shape none.
    """
    is_there = np.ones((n, 2), np.bool_)
    is_there[:, 1] = rng.integers(2, size=n)
    return _draw(_different_shapes(n, rng), is_there, rng.uniform(0, 1, (n, 2)), rng)


def draw_pairs(n: int, rng: np.random.Generator) -> Scenes:
    """Draw two objects of different shapes, as half of the images of `draw_two`."""
    hue = rng.uniform(0, 1, (n, 2))
    return _draw(_different_shapes(n, rng), np.ones((n, 2), np.bool_), hue, rng)


VARIANTS: Mapping[str, DrawFn] = MappingProxyType(
    {"shapes": draw_shapes, "marked": draw_marked, "two": draw_two}
)
PAIRED = "two"


def accuracy_scenes(variant: str, seed: int, n: int) -> Scenes:
    """The scenes that a network's accuracy is measured on; of `two` those with one object.

    With two objects no label is the only right one; `pair_scenes` has those.
    """
    rng = np.random.default_rng((seed, _TEST))
    return VARIANTS["shapes" if variant == PAIRED else variant](n, rng)


def explained_scenes(variant: str, seed: int, n: int) -> Scenes:
    """Scenes that methods are scored on: like the test scenes, of `two` those with two objects."""
    if variant == PAIRED:
        return draw_pairs(n, np.random.default_rng((seed, _PAIRS)))
    return accuracy_scenes(variant, seed, n)


def make_data(variant: str, seed: int, n_train: int = N_TRAIN, n_test: int = N_TEST) -> DataSet:
    """Make the data set of a variant: the same for the same seed, in seconds."""
    train = VARIANTS[variant](n_train, np.random.default_rng((seed, _TRAIN)))
    description = f"ground truth: {variant}, {n_train} images made with seed {seed}"
    test = accuracy_scenes(variant, seed, n_test)
    return DataSet(to_split(train), to_split(test), SHAPES, description)


def to_split(scenes: Scenes) -> Split:
    """Images and labels as tensors."""
    pixels = torch.from_numpy(scenes.render()).permute(0, 3, 1, 2).contiguous()
    return Split(pixels, torch.from_numpy(scenes.labels.copy()))


def _random_shapes(n: int, n_objects: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return rng.integers(len(SHAPES), size=(n, n_objects))


def _different_shapes(n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    first = _random_shapes(n, 1, rng)
    step = rng.integers(1, len(SHAPES), (n, 1))
    return np.concatenate([first, (first + step) % len(SHAPES)], 1)


def _draw(
    shape: NDArray[np.int64],
    is_there: NDArray[np.bool_],
    hue: NDArray[np.float64],
    rng: np.random.Generator,
) -> Scenes:
    n, n_objects = shape.shape
    places = place_boxes(n, n_objects, rng)
    color = saturated(hue.astype(np.float32), rng)
    return Scenes(shape, *places, is_there, color, grains(n, SIZE, rng), backgrounds(n, SIZE, rng))
