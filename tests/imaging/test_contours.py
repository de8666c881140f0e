"""Lines of equal relevance: where they are, beside what can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from service.imaging.contours import LEVELS, contour_mask

SIDE = 256


def rising(width: int = 32) -> NDArray[np.float32]:
    """From 0 at the left edge of the picture to 1 at the right one."""
    values = (np.arange(width, dtype=np.float32) + 0.5) / width
    return np.tile(values, (8, 1)).astype(np.float32)


def lines_across(mask: NDArray[np.uint8]) -> list[float]:
    """The places of the lines that the middle row crosses."""
    is_line = mask[len(mask) // 2] > 0
    edges = np.flatnonzero(np.diff(np.pad(is_line, 1).astype(int)))
    return [(start + end) / 2 for start, end in edges.reshape(-1, 2)]


def test_lines_are_where_the_relevance_passes_the_levels() -> None:
    found = lines_across(contour_mask(rising(), (SIDE, SIDE)))

    assert found == pytest.approx([level * SIDE for level in LEVELS], abs=1)


def test_the_higher_the_level_the_stronger_the_line() -> None:
    mask = contour_mask(rising(), (SIDE, SIDE))
    strengths = [int(mask[SIDE // 2, int(level * SIDE) - 2 :][:5].max()) for level in LEVELS]

    assert sorted(set(strengths)) == strengths
    assert strengths[-1] == 255


def test_around_a_single_pixel_lines_are_closed() -> None:
    share = np.zeros((5, 5), np.float32)
    share[2, 2] = 1

    mask = contour_mask(share, (250, 250))

    # linear between the centres of pixels, 50 apart: 0.8 is passed 10 beside the middle
    right = [place - 125 for place in lines_across(mask) if place > 125]
    assert right == pytest.approx([10, 30, 40, 45], abs=1)
    assert mask[0].max() == mask[:, 0].max() == 0


def test_lines_run_to_the_edge_of_the_picture() -> None:
    mask = contour_mask(rising(), (SIDE, SIDE))

    place = int(LEVELS[-1] * SIDE)
    assert (mask[:, place - 2 : place + 2].max(axis=1) > 128).all()


@pytest.mark.parametrize("value", [0.0, -1.0, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (32, 32)])
def test_a_map_without_changes_has_no_lines(value: float, shape: tuple[int, int]) -> None:
    assert not contour_mask(np.full(shape, value, np.float32), (64, 48)).any()


@pytest.mark.parametrize("size", [(16, 16), (300, 40), (41, 2048)])
def test_the_mask_has_the_size_of_the_picture(size: tuple[int, int]) -> None:
    assert contour_mask(rising(), size).shape == size[::-1]
