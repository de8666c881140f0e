"""The share of images that turn to a class, and what chance would make it."""

from __future__ import annotations

import numpy as np
import pytest

from service.evaluation.audit.probes import WholeImageProbes

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
