from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import CenterCrop, Resize

from service.imaging.decode import Decoded
from service.imaging.fit import Box, Color, Fit, FittedImage, fit_box, fit_image, render_box
from tests.helpers.pictures import noise

FITS = get_args(Fit)
FILL = (10, 20, 30)
SQUARE = (32, 32)

sides = st.integers(1, 300)
sizes = st.tuples(sides, sides)
network_sides = st.integers(1, 64)
network_sizes = st.tuples(network_sides, network_sides)


def fitted_image(
    picture: Image.Image, size: tuple[int, int], fit: Fit, fill: Color, resize: int | None = None
) -> FittedImage:
    return fit_image(Decoded.whole(picture), size, fit, fill, resize)


def whole_box(
    picture_size: tuple[int, int], size: tuple[int, int], fit: Fit, resize: int | None = None
) -> Box:
    """The box that is reported."""
    picture = Image.new("RGB", picture_size[::-1])
    return fitted_image(picture, size, fit, FILL, resize).box


# (height, width) of the picture, of the network -> left, top, right, bottom
BOXES: list[tuple[Fit, tuple[int, int], tuple[int, int], Box]] = [
    ("crop", (480, 640), SQUARE, (80, 0, 560, 480)),
    ("crop", (640, 480), SQUARE, (0, 80, 480, 560)),
    ("crop", (33, 100), SQUARE, (33, 0, 66, 33)),
    ("crop", (101, 4), SQUARE, (0, 48, 4, 52)),
    ("crop", (1, 9), SQUARE, (4, 0, 5, 1)),
    ("crop", (9, 1), SQUARE, (0, 4, 1, 5)),
    ("crop", (1, 1), SQUARE, (0, 0, 1, 1)),
    ("crop", (100, 100), (20, 40), (0, 25, 100, 75)),
    ("crop", (100, 100), (40, 20), (25, 0, 75, 100)),
    ("pad", (480, 640), SQUARE, (0, -80, 640, 560)),
    ("pad", (640, 480), SQUARE, (-80, 0, 560, 640)),
    ("pad", (3, 4), SQUARE, (0, -1, 4, 3)),
    ("pad", (1, 9), SQUARE, (0, -4, 9, 5)),
    ("pad", (100, 100), (20, 40), (-50, 0, 150, 100)),
    ("stretch", (480, 640), SQUARE, (0, 0, 640, 480)),
    ("stretch", (1, 9), (20, 40), (0, 0, 9, 1)),
]


@pytest.mark.parametrize(("fit", "picture_size", "size", "expected"), BOXES)
def test_boxes(
    fit: Fit, picture_size: tuple[int, int], size: tuple[int, int], expected: Box
) -> None:
    assert whole_box(picture_size, size, fit) == expected


# as above, but with what the shorter side is first brought to
RESIZED: list[tuple[tuple[int, int], tuple[int, int], int, Box]] = [
    ((512, 640), (224, 224), 256, (96, 32, 544, 480)),  # every second pixel of 320 x 256
    ((640, 512), (224, 224), 256, (32, 96, 480, 544)),
    ((128, 128), (224, 224), 256, (8, 8, 120, 120)),
    ((480, 640), (224, 448), 480, (96, 128, 544, 352)),
    ((480, 640), (32, 32), 32, (76, 0, 564, 480)),  # of 42 columns five are cut off on each side
    ((1, 9), (32, 32), 64, (4, 0, 5, 1)),
]


@pytest.mark.parametrize(("picture_size", "size", "resize", "expected"), RESIZED)
def test_boxes_of_a_picture_that_is_resized_first(
    picture_size: tuple[int, int], size: tuple[int, int], resize: int, expected: Box
) -> None:
    assert whole_box(picture_size, size, "crop", resize) == expected
    for fit in ("stretch", "pad"):
        assert fit_box(picture_size, size, fit, resize) == fit_box(picture_size, size, fit)


# of the case, and where the resized sides are rounded: (width, height)
TORCHVISION_SIZES = [
    (500, 375), (375, 500), (640, 480), (256, 256), (257, 256), (1000, 257), (300, 299), (41, 31),
    (40, 30), (31, 41), (33, 47), (100, 67), (64, 64), (32, 32), (225, 224), (1200, 900), (97, 641),
]  # fmt: skip


@pytest.mark.parametrize("picture_size", TORCHVISION_SIZES, ids=str)
@pytest.mark.parametrize(("resize", "side"), [(256, 224), (128, 112), (36, 32), (40, 31)])
def test_the_network_sees_what_torchvisions_transforms_show(
    picture_size: tuple[int, int], resize: int, side: int
) -> None:
    picture = Image.fromarray(noise(picture_size[1], picture_size[0], 3))
    expected = np.asarray(CenterCrop(side)(Resize(resize)(picture)))

    fitted = fitted_image(picture, (side, side), "crop", FILL, resize)

    assert np.abs(fitted.pixels.astype(int) - expected).max() <= 2  # two roundings
    left, top, right, bottom = fitted.exact_box
    assert np.abs(np.subtract(fitted.box, fitted.exact_box)).max() <= 1
    assert 0 <= left < right <= picture_size[0] + 1e-9
    assert 0 <= top < bottom <= picture_size[1] + 1e-9


@given(sizes, network_sizes)
def test_a_crop_lies_inside_and_touches_two_edges(
    picture_size: tuple[int, int], size: tuple[int, int]
) -> None:
    left, top, right, bottom = whole_box(picture_size, size, "crop")
    height, width = picture_size

    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert right - left == width or bottom - top == height


@given(sizes, network_sizes)
def test_padding_contains_the_picture(picture_size: tuple[int, int], size: tuple[int, int]) -> None:
    left, top, right, bottom = whole_box(picture_size, size, "pad")
    height, width = picture_size

    assert left <= 0 < width <= right
    assert top <= 0 < height <= bottom
    assert right - left == width or bottom - top == height


@given(sizes, network_sizes, st.sampled_from(["crop", "pad"]))
def test_the_box_has_the_networks_aspect_and_is_centred(
    picture_size: tuple[int, int], size: tuple[int, int], fit: Fit
) -> None:
    left, top, right, bottom = whole_box(picture_size, size, fit)
    box_width, box_height = right - left, bottom - top
    scales = (picture_size[1] / size[1], picture_size[0] / size[0])
    scale = min(scales) if fit == "crop" else max(scales)

    half = 0.5 + 1e-9  # 49 * (34 / 28) is 59.49999999999999
    assert abs(box_width - size[1] * scale) <= half or box_width == 1
    assert abs(box_height - size[0] * scale) <= half or box_height == 1
    assert abs((left + right) - picture_size[1]) <= 1
    assert abs((top + bottom) - picture_size[0]) <= 1


@settings(max_examples=50)
@given(sizes, network_sizes, st.sampled_from(FITS))
def test_the_network_gets_exactly_its_size(
    picture_size: tuple[int, int], size: tuple[int, int], fit: Fit
) -> None:
    color = (200, 100, 50)
    picture = Image.new("RGB", picture_size[::-1], color)

    fitted = fitted_image(picture, size, fit, color)

    assert fitted.pixels.shape == (*size, 3)
    assert fitted.pixels.dtype == np.uint8
    assert fitted.pixels.flags.c_contiguous
    assert (fitted.height, fitted.width) == picture_size
    assert fitted.exact_box == fit_box(picture_size, size, fit)
    assert (fitted.pixels == color).all()  # no edge is mixed with anything else


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [SQUARE, (17, 40), (40, 17), (1, 1)])
def test_a_picture_of_the_networks_size_passes_unchanged(fit: Fit, size: tuple[int, int]) -> None:
    expected = noise(*size, 3)

    fitted = fitted_image(Image.fromarray(expected), size, fit, FILL)

    assert np.array_equal(fitted.pixels, expected)
    assert fitted.box == (0, 0, size[1], size[0])


def test_crop_shows_the_centre() -> None:
    pixels = np.zeros((30, 90, 3), np.uint8)
    pixels[:, 30:60] = 255

    fitted = fitted_image(Image.fromarray(pixels), (10, 10), "crop", FILL)

    # as if the whole picture was resized first: the outermost columns see their neighbours
    assert (fitted.pixels[:, 1:-1] == 255).all()
    assert (fitted.pixels > 200).all()


def test_stretch_shows_everything() -> None:
    halves = noise(1, 2, 3)  # left and right
    picture = Image.fromarray(halves.repeat(10, axis=0).repeat(100, axis=1))

    fitted = fitted_image(picture, (10, 10), "stretch", FILL)

    assert (fitted.pixels[:, :4] == halves[0, 0]).all()
    assert (fitted.pixels[:, 6:] == halves[0, 1]).all()


@pytest.mark.parametrize("axis", [0, 1])
def test_pad_adds_bars_of_the_fill(axis: int) -> None:
    shape = (20, 40) if axis == 0 else (40, 20)
    picture = Image.new("RGB", shape[::-1], (255, 255, 255))

    fitted = fitted_image(picture, SQUARE, "pad", FILL)

    across = fitted.pixels if axis == 0 else fitted.pixels.transpose(1, 0, 2)
    assert (across[:8] == FILL).all()
    assert (across[8:24] == 255).all()
    assert (across[24:] == FILL).all()


def test_a_line_of_pixels_is_still_seen_when_padded() -> None:
    fitted = fitted_image(Image.new("RGB", (1000, 1), (255, 255, 255)), SQUARE, "pad", FILL)

    is_line = (fitted.pixels == 255).all(axis=(1, 2))
    assert is_line.sum() == 1
    assert 14 <= is_line.argmax() <= 17


def test_shrinking_averages_over_all_pixels() -> None:
    checkers = np.indices((320, 320)).sum(axis=0) % 2 * 255
    picture = Image.fromarray(checkers.astype(np.uint8)).convert("RGB")

    fitted = fitted_image(picture, SQUARE, "crop", FILL)

    assert np.abs(fitted.pixels.astype(int) - 127).max() <= 1  # no aliasing: all grey


def test_enlarging_interpolates_between_pixels() -> None:
    ramp = np.array([[0, 200]], np.uint8).repeat(2, axis=0)
    fitted = fitted_image(Image.fromarray(ramp).convert("RGB"), SQUARE, "crop", FILL)

    row = fitted.pixels[16, :, 0].astype(int)
    # bilinear: pixel x of 32 lies at (x + 0.5) / 16 - 0.5 of two, and stays within their centres
    expected = np.clip((np.arange(32) + 0.5) / 16 - 0.5, 0, 1) * 200
    assert np.abs(row - expected).max() <= 1


@pytest.mark.parametrize("fit", FITS)
def test_the_view_of_a_box_is_what_the_network_saw_but_larger(fit: Fit) -> None:
    picture = Image.fromarray(noise(3, 4, 3).repeat(20, axis=0).repeat(20, axis=1))
    box = fit_box((60, 80), SQUARE, fit)

    view = render_box(Decoded.whole(picture), box, (128, 128), FILL)
    small = fitted_image(picture, SQUARE, fit, FILL).pixels.astype(int)

    assert view.size == (128, 128)
    again = np.asarray(view.resize((32, 32), Image.Resampling.BOX)).astype(int)
    assert np.abs(again - small).mean() < 8
