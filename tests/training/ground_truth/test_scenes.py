"""The ground truth is exact, the same every time, and nothing but the deciding object tells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from training.ground_truth.scenes import DECIDER, SIZE, Scenes
from training.ground_truth.shapes import SHAPES
from training.ground_truth.variants import (
    VARIANTS,
    draw_pairs,
    explained_scenes,
    make_data,
)

N = 4000
# the 99.9th percentile of chi-square by degrees of freedom: one in a thousand seeds lies above
CHI_SQUARE_LIMIT = {4: 18.5, 8: 26.1, 16: 39.3}


@pytest.fixture(scope="module", params=list(VARIANTS))
def scenes(request: pytest.FixtureRequest) -> Scenes:
    return VARIANTS[request.param](N, np.random.default_rng(3))


def chi_square(labels: NDArray[np.int64], bins: NDArray[np.int64]) -> tuple[float, int]:
    """Pearson's statistic of a table of counts, and its degrees of freedom."""
    counts = np.zeros((labels.max() + 1, bins.max() + 1))
    np.add.at(counts, (labels, bins), 1)
    expected = counts.sum(1, keepdims=True) * counts.sum(0) / counts.sum()
    statistic = float(((counts - expected) ** 2 / expected).sum())
    return statistic, (counts.shape[0] - 1) * (counts.shape[1] - 1)


def quantiles(values: NDArray[np.integer | np.floating], n: int) -> NDArray[np.int64]:
    """The number of the n-th part of the sorted values that each value is in."""
    bounds = np.quantile(values, np.arange(1, n) / n)
    return np.searchsorted(bounds, values).astype(np.int64)


def assert_independent(labels: NDArray[np.int64], bins: NDArray[np.int64]) -> None:
    statistic, freedom = chi_square(labels, bins)
    assert statistic < CHI_SQUARE_LIMIT[freedom]


@pytest.mark.parametrize("object_index", range(3))
def test_a_mask_has_the_pixels_that_a_new_color_changes_and_no_other(object_index: int) -> None:
    scenes = VARIANTS["marked"](200, np.random.default_rng(0))
    inverted = scenes.color.copy()
    inverted[:, object_index] ^= 128
    changed = scenes.render() != replace(scenes, color=inverted).render()
    np.testing.assert_array_equal(changed.any(3), scenes.masks()[:, object_index])


def test_outside_of_all_masks_an_image_is_its_background(scenes: Scenes) -> None:
    outside = ~scenes.masks().any(1)
    np.testing.assert_array_equal(scenes.render()[outside], scenes.background[outside])


def test_objects_are_apart(scenes: Scenes) -> None:
    assert scenes.masks().sum(1).max() == 1


def test_an_object_that_is_not_there_has_no_pixel() -> None:
    scenes = VARIANTS["two"](500, np.random.default_rng(0))
    assert 0.4 < scenes.is_there[:, 1].mean() < 0.6
    np.testing.assert_array_equal(scenes.masks()[:, 1].any((1, 2)), scenes.is_there[:, 1])


def test_every_shape_has_a_mask_of_its_own(scenes: Scenes) -> None:
    masks = scenes.masks()[:, DECIDER]
    areas = [masks[scenes.labels == index].sum((1, 2)).mean() for index in range(len(SHAPES))]
    assert 40 < min(areas) < max(areas) < 110  # of 1024 pixels


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_the_same_seed_makes_the_same_data_and_another_seed_makes_other_data(variant: str) -> None:
    first, again, other = (make_data(variant, seed, 50, 50) for seed in (5, 5, 6))
    assert torch.equal(first.train.images, again.train.images)
    assert torch.equal(first.test.labels, again.test.labels)
    assert not torch.equal(first.train.images, other.train.images)
    assert not torch.equal(first.train.images, first.test.images)


@pytest.mark.parametrize("variant", ["shapes", "marked"])
def test_methods_are_scored_on_images_of_the_test_set(variant: str) -> None:
    data = make_data(variant, 1, 50, 20)
    pixels = explained_scenes(variant, 1, 20).render()
    np.testing.assert_array_equal(data.test.images.permute(0, 2, 3, 1).numpy(), pixels)


def test_classes_are_equally_frequent(scenes: Scenes) -> None:
    counts = np.bincount(scenes.labels)
    expected = N / len(SHAPES)
    assert ((counts - expected) ** 2 / expected).sum() < CHI_SQUARE_LIMIT[4]


@pytest.mark.parametrize("place", ["top", "left", "box_px"])
def test_where_objects_lie_says_nothing_about_the_class(scenes: Scenes, place: str) -> None:
    for index in range(scenes.n_objects):
        values = getattr(scenes, place)[:, index]
        assert_independent(scenes.labels, quantiles(values + 0.5 * (values > 10), 3))


def test_the_background_says_nothing_about_the_class(scenes: Scenes) -> None:
    for channel in range(3):
        levels = scenes.background[..., channel].mean((1, 2))
        contrast = scenes.background[..., channel].std((1, 2))
        assert_independent(scenes.labels, quantiles(levels, 5))
        assert_independent(scenes.labels, quantiles(contrast, 5))


def test_colors_and_surfaces_say_nothing_about_the_class(scenes: Scenes) -> None:
    for channel in range(3):
        assert_independent(scenes.labels, quantiles(scenes.color[:, DECIDER, channel], 5))
    assert_independent(scenes.labels, quantiles(scenes.grain.std((1, 2, 3)), 5))


def test_distractors_say_nothing_about_the_class() -> None:
    scenes = VARIANTS["marked"](N, np.random.default_rng(3))
    for index in (1, 2):
        assert_independent(scenes.labels, scenes.shape[:, index])
        assert_independent(scenes.labels, quantiles(scenes.color[:, index, 1], 5))


def test_the_decider_lies_wherever_the_others_do() -> None:
    scenes = VARIANTS["marked"](N, np.random.default_rng(3))
    for values in (scenes.top, scenes.left):
        which = np.repeat(np.arange(3), N)
        assert chi_square(which, quantiles(values.T.reshape(-1), 5))[0] < CHI_SQUARE_LIMIT[8]


def test_the_test_of_independence_finds_a_class_that_leaks() -> None:
    scenes = VARIANTS["marked"](N, np.random.default_rng(3))
    leaking = scenes.top[:, 0] + scenes.labels
    statistic, freedom = chi_square(scenes.labels, quantiles(leaking, 3))
    assert statistic > CHI_SQUARE_LIMIT[freedom]


def test_two_objects_are_of_different_shapes_and_the_label_is_either() -> None:
    scenes = draw_pairs(N, np.random.default_rng(0))
    assert scenes.is_there.all()
    assert (scenes.shape[:, 0] != scenes.shape[:, 1]).all()
    low, high = np.sort(scenes.shape, 1).T
    is_low = (scenes.labels == low).mean()
    assert abs(is_low - 0.5) < 4 * 0.5 / N**0.5
    assert high.max() == len(SHAPES) - 1


def test_images_have_the_size_of_the_network() -> None:
    assert make_data("shapes", 0, 10, 10).train.images.shape == (10, 3, SIZE, SIZE)
