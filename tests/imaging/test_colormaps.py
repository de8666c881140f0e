from __future__ import annotations

import colorsys
import io

import numpy as np
import pytest
from PIL import Image

from service.imaging.colormaps import (
    CENTER,
    COLOR_BLIND_SAFE,
    COLORMAPS,
    DEFAULT,
    N_COLORS,
    color_table,
    strip_png,
)

AGAINST, FOR = 0, N_COLORS - 1
# the range of hues, in degrees, that people call by these names
HUES = {
    "red": (340, 20),
    "orange": (20, 45),
    "green": (90, 160),
    "blue": (200, 250),
    "purple": (250, 320),
}
LIGHT = 0.85  # a luminance, of 1 for white


def hue_name(color: np.ndarray) -> str:
    red, green, blue = (float(value) / 255 for value in color)
    hue = 360 * colorsys.rgb_to_hsv(red, green, blue)[0]
    for name, (low, high) in HUES.items():
        if low <= hue < high or (low > high and (hue >= low or hue < high)):
            return name
    return f"hue {hue:.0f}"


def luminance(table: np.ndarray) -> np.ndarray:
    weighted: np.ndarray = table @ np.array([0.2126, 0.7152, 0.0722]) / 255
    return weighted


@pytest.mark.parametrize("name", COLORMAPS)
def test_a_table_has_255_colours_and_cannot_be_changed(name: str) -> None:
    table = color_table(name)

    assert table.shape == (255, 3)
    assert table.dtype == np.uint8
    assert CENTER == 127
    with pytest.raises(ValueError, match="read-only"):
        table[0] = 0


@pytest.mark.parametrize("name", COLORMAPS)
def test_nothing_is_light_and_the_ends_are_dark(name: str) -> None:
    bright = luminance(color_table(name))

    assert bright[CENTER] > LIGHT
    assert bright[CENTER] >= bright.max() - 0.01
    assert bright[AGAINST] < bright[CENTER] / 2
    assert bright[FOR] < bright[CENTER] / 2


@pytest.mark.parametrize("name", COLORMAPS)
def test_nothing_has_no_hue(name: str) -> None:
    assert np.ptp(color_table(name)[CENTER].astype(int)) <= 5


@pytest.mark.parametrize("name", COLORMAPS)
def test_the_ends_have_the_colours_that_the_text_says(name: str) -> None:
    words = COLORMAPS[name].replace(",", " ").replace(";", " ").split()
    table = color_table(name)

    assert hue_name(table[FOR]) == words[words.index("for") - 1]
    assert hue_name(table[AGAINST]) == words[words.index("against") - 1]


@pytest.mark.parametrize("name", COLORMAPS)
def test_more_relevance_is_never_lighter(name: str) -> None:
    bright = luminance(color_table(name))

    assert (np.diff(bright[CENTER:]) <= 0.005).all()
    assert (np.diff(bright[:CENTER]) >= -0.005).all()


def test_the_default_is_blue_white_red() -> None:
    table = color_table(DEFAULT)

    assert DEFAULT == "bwr"
    assert table[[AGAINST, CENTER, FOR]].tolist() == [[0, 0, 255], [255, 255, 255], [255, 0, 0]]


@pytest.mark.parametrize("name", COLORMAPS)
def test_a_strip_has_every_colour_in_its_order(name: str) -> None:
    strip = np.asarray(Image.open(io.BytesIO(strip_png(name))).convert("RGB"))
    assert strip.shape[1] == N_COLORS
    for row in strip:
        assert np.array_equal(row, color_table(name))


# Machado et al. 2009, IEEE TVCG 15(6):1291-1298, severity 1.0, on linear RGB
DEFICIENCIES = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}


@pytest.mark.parametrize("name", sorted(COLOR_BLIND_SAFE))
@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_for_and_against_differ_for_colour_blind_people(name: str, deficiency: str) -> None:
    linear = (color_table(name) / 255.0) ** 2.2
    seen = np.clip(linear @ np.array(DEFICIENCIES[deficiency]).T, 0, 1) ** (1 / 2.2)
    quarter = N_COLORS // 4  # half of the full colour, on either side
    distances = np.linalg.norm(seen[quarter] - seen[-1 - quarter], axis=-1)
    assert distances > 0.2
