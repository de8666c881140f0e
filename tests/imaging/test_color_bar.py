"""The bar beside a picture: the picture is whole, the colours are its own, the scale is read."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from service.imaging.color_bar import RAMP, bar_size, with_color_bar
from tests.helpers.pictures import Array, noise

BLACK = 96  # of the letters at least one pixel is darker than this


def beside(picture: Array, bound: float = 0.0123) -> Array:
    """What stands to the right of the bar."""
    bar = np.full((*bar_size(len(picture))[::-1], 3), 200, np.uint8)
    whole = with_color_bar(picture, bar, bound)
    return whole[:, picture.shape[1] + bar.shape[1] + bar.shape[1] // 2 :]


def written(text: str, font_px: int) -> Array:
    """A text by itself, without margins."""
    canvas = Image.new("L", (400, 200), 255)
    font = ImageFont.load_default(font_px)
    ImageDraw.Draw(canvas).text((9, 9), text, (32), font)
    return trimmed(np.asarray(canvas))


def trimmed(grey: Array) -> Array:
    rows, columns = np.flatnonzero((grey < 255).any(1)), np.flatnonzero((grey < 255).any(0))
    return grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


@pytest.mark.parametrize("shape", [(256, 256), (16, 16), (16, 300), (2048, 20)])
def test_picture_and_bar_are_whole(shape: tuple[int, int]) -> None:
    picture = noise(*shape, 3)
    width, height = bar_size(shape[0])
    bar = noise(height, width, 3)

    whole = with_color_bar(picture, bar, 1.0)

    top = (height - shape[0]) // 2
    assert whole.shape[0] == height >= shape[0]
    assert np.array_equal(whole[top : top + shape[0], : shape[1]], picture)
    left = shape[1] + width // 2
    assert np.array_equal(whole[:, left : left + width], bar)
    assert (whole[:, shape[1] : left] == 255).all()


@pytest.mark.parametrize("side", [16, 64, 256, 1024])
def test_a_bar_has_room_for_three_lines_of_text(side: int) -> None:
    rows = beside(noise(side, side, 3)).min(axis=(1, 2)) < BLACK

    starts = np.flatnonzero(np.diff(np.pad(rows, 1).astype(int)) == 1)
    assert len(starts) >= 3


@pytest.mark.parametrize(
    ("bound", "end"), [(0.0123456, "0.0123"), (1.0, "1"), (3e-7, "3e-07"), (1e300, "1e+300")]
)
def test_the_scale_is_that_of_the_bound(bound: float, end: str) -> None:
    found = beside(noise(256, 256, 3), bound)[..., 0]
    for place, text in (
        (slice(0, 40), f"+{end}"),
        (slice(110, 146), "0"),
        (slice(-40, None), f"-{end}"),  # the font of Pillow has no other sign than that of ASCII
    ):
        assert np.array_equal(trimmed(found[place]), written(text, 16))


def test_no_letter_is_cut_off() -> None:
    for bound in (1.2e-300, 0.00888, 888.0):
        assert (beside(noise(256, 256, 3), bound)[:, -2:] == 255).all()
        assert (beside(noise(256, 256, 3), bound)[[0, -1]] == 255).all()


def test_where_nothing_is_relevant_the_scale_has_no_ends() -> None:
    found = beside(noise(256, 256, 3), 0)

    assert (found[:100] == 255).all()
    assert (found[150:] == 255).all()
    assert found.min() < BLACK


def test_the_ramp_leads_from_for_over_nothing_to_against() -> None:
    assert RAMP[:, 0].tolist()[:: len(RAMP) // 2] == [1, 0, -1]
    assert (np.diff(RAMP[:, 0]) < 0).all()
