"""The share of images that turn to a class, what chance would make it, and where a mark is."""

from __future__ import annotations

import numpy as np
import pytest

from service.evaluation.audit.probes import Groups, WholeImageProbes, alike_region

N = 10  # of a class


def flips(n_classes: int, changed: list[int]) -> tuple[float, float]:
    """For class 0, of a network that is right about all images, and says `changed` afterwards."""
    labels = np.repeat(np.arange(n_classes), N)
    predicted = {"": labels, "hue": np.array(changed)}
    return WholeImageProbes({}, predicted, labels, n_classes).flips("hue", 0)


def test_of_two_classes_a_change_that_only_works_one_way_is_told_from_chance() -> None:
    assert flips(2, [0] * N + [0] * N) == (1.0, 0.0)
    assert flips(2, [0] * 5 + [1] * 5 + [0] * 5 + [1] * 5) == (0.5, 0.5)
    assert flips(2, [0] * N + [1] * N) == (0.0, 0.0)


def test_of_more_classes_chance_is_an_even_share_of_what_changes() -> None:
    assert flips(3, [0] * N + [0] * 5 + [2] * 5 + [2] * N) == pytest.approx((0.25, 0.25))
    assert flips(3, [0] * N + [0] * N + [0] * N) == pytest.approx((1.0, 0.5))


def test_without_images_of_other_classes_there_are_no_flips() -> None:
    labels = np.zeros(N, dtype=np.int64)
    probes = WholeImageProbes({}, {"": labels, "hue": labels + 1}, labels, 3)
    assert probes.flips("hue", 0) == (0.0, 0.0)


@pytest.fixture
def framed() -> Groups:
    """Noise of 16x16 pixels; the first half has a dark frame."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)
    pixels[:20, [0, -1]] = 16
    pixels[:20, :, [0, -1]] = 16
    return Groups(0, pixels, np.arange(20), np.arange(0), np.arange(20, 40))


def test_a_narrow_mark_beside_its_relevance_is_found_whole(framed: Groups) -> None:
    beside = np.zeros((16, 16), dtype=np.bool_)
    beside[1, 1:-1] = beside[-2, 1:-1] = beside[1:-1, 1] = beside[1:-1, -2] = True
    frame = np.ones((16, 16), dtype=np.bool_)
    frame[1:-1, 1:-1] = False
    assert np.array_equal(alike_region(framed, beside), frame)


def test_what_is_alike_far_from_the_relevance_is_left_out(framed: Groups) -> None:
    middle = np.zeros((16, 16), dtype=np.bool_)
    middle[8, 8] = True
    assert not alike_region(framed, middle).any()
