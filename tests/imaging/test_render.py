from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from service.imaging.colormaps import CENTER, COLORMAPS, color_table
from service.imaging.contours import LEVELS
from service.imaging.render import color_indices, heatmap_png, overlay_png, own_bound
from service.imaging.render_options import Enlarge, RenderOptions
from tests.helpers.pictures import Array, smooth_photo

BLUE, WHITE, RED = [0, 0, 255], [255, 255, 255], [255, 0, 0]
Map = NDArray[np.float32]
OPTIONS = [
    RenderOptions(1.0, 64),
    RenderOptions(1.0, 64, enlarge="nearest"),
    RenderOptions(1.0, 64, enlarge="smooth"),
    RenderOptions(1.0, 64, overlay_style="contours"),
]


def random_map(height: int = 32, width: int = 32) -> Map:
    return np.random.default_rng(0).normal(0, 0.01, (height, width)).astype(np.float32)


def opened(content: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(content))
    assert picture.format == "PNG"
    return picture


def rgb(content: bytes) -> Array:
    return np.asarray(opened(content).convert("RGB"))


def row(*values: float) -> Map:
    return np.array([values], np.float32)


# --- heatmaps


@pytest.mark.parametrize("name", COLORMAPS)
@pytest.mark.parametrize("bound", [0.0, 1.0])
def test_zero_relevance_has_the_centre_colour(name: str, bound: float) -> None:
    found = rgb(heatmap_png(np.zeros((32, 32), np.float32), RenderOptions(bound, 64, name)))

    assert (found == color_table(name)[CENTER]).all()


def test_red_is_for_blue_is_against() -> None:
    found = rgb(heatmap_png(row(-2, 0, 2), RenderOptions(2, 3, "bwr")))

    assert found.tolist() == [[BLUE, WHITE, RED]]


def test_relevance_beyond_the_bound_is_clipped() -> None:
    assert color_indices(row(-9, -1, 1, 9), 1).tolist() == [[0, 0, 254, 254]]


@pytest.mark.parametrize("bound", [5e-324, 1e-300, 1e300])
def test_extreme_bounds(bound: float) -> None:
    expected = [[CENTER, CENTER, CENTER]] if bound > 1 else [[0, CENTER, 254]]

    assert color_indices(row(-1, 0, 1), bound).tolist() == expected


def test_a_bound_of_zero_shows_nothing() -> None:
    assert own_bound(row(0, 0)) == 0
    assert color_indices(row(0, -0.0), 0).tolist() == [[CENTER, CENTER]]


def test_the_own_bound_is_the_largest_absolute_value() -> None:
    relevance = row(0.5, -2, 1)

    assert own_bound(relevance) == 2
    assert rgb(heatmap_png(relevance, RenderOptions(2, 3, "bwr")))[0, 1].tolist() == BLUE


@given(
    st.lists(st.floats(-(2.0**99), 2.0**99, width=32), min_size=1, max_size=20),
    st.floats(1e-30, 1e30),
)
def test_for_and_against_are_mirror_images(values: list[float], bound: float) -> None:
    indices = color_indices(row(*values), bound).astype(int)
    mirrored = color_indices(row(*(-value for value in values)), bound).astype(int)

    assert (indices + mirrored == 2 * CENTER).all()
    assert ((indices == CENTER) | ((indices > CENTER) == (row(*values) > 0))).all()


@pytest.mark.parametrize("name", COLORMAPS)
def test_every_pixel_has_the_colour_of_its_relevance(name: str) -> None:
    relevance, bound = random_map(), 0.02

    found = rgb(heatmap_png(relevance, RenderOptions(bound, 96, name)))

    share = np.clip(relevance.astype(np.float64) / bound, -1, 1)
    expected = color_table(name)[np.rint(127 + 127 * share).astype(int)]
    assert np.array_equal(found, expected.repeat(3, axis=0).repeat(3, axis=1))


def test_a_heatmap_is_an_8_bit_palette_png() -> None:
    content = heatmap_png(random_map(), RenderOptions(0.02, 256, "bwr"))
    picture = opened(content)

    assert picture.mode == "P"
    assert content[24:26] == bytes([8, 3])  # bits, and the colour type of a palette
    assert picture.getpalette("RGB") == color_table("bwr").ravel().tolist()


@pytest.mark.parametrize("side", [16, 31, 32, 33, 100, 256, 2048])
def test_the_longer_side_is_as_requested(side: int) -> None:
    photo = smooth_photo(32, 32)

    assert opened(heatmap_png(random_map(), RenderOptions(0.02, side, "bwr"))).size == (side, side)
    assert opened(overlay_png(random_map(), RenderOptions(0.02, side, "bwr"), photo)).size == (
        side,
        side,
    )


@pytest.mark.parametrize(
    ("shape", "size"), [((20, 40), (80, 40)), ((40, 20), (40, 80)), ((1, 7), (80, 11))]
)
def test_maps_that_are_not_square_keep_their_aspect(
    shape: tuple[int, int], size: tuple[int, int]
) -> None:
    photo = smooth_photo(*shape)

    assert opened(heatmap_png(random_map(*shape), RenderOptions(0.02, 80, "bwr"))).size == size
    assert (
        opened(overlay_png(random_map(*shape), RenderOptions(0.02, 80, "bwr"), photo)).size == size
    )


# --- overlays


def is_grey(pixels: Array) -> NDArray[np.bool_]:
    grey: NDArray[np.bool_] = (pixels == pixels[..., :1]).all(axis=-1)
    return grey


@pytest.mark.parametrize("name", COLORMAPS)
def test_the_image_stays_grey_where_relevance_is_zero(name: str) -> None:
    photo = smooth_photo(128, 128)

    found = rgb(overlay_png(np.zeros((32, 32), np.float32), RenderOptions(1.0, 128, name), photo))

    assert is_grey(found).all()
    order = np.asarray(photo.convert("L")).ravel().argsort()
    assert (np.diff(found[..., 0].ravel()[order].astype(int)) >= 0).all()  # and still itself


def test_relevance_colours_its_own_place() -> None:
    relevance = np.zeros((32, 32), np.float32)
    relevance[4:8, 4:8], relevance[20:24, 20:24] = 1, -1

    found = rgb(
        overlay_png(relevance, RenderOptions(1.0, 320, "bwr"), smooth_photo(320, 320))
    ).astype(int)

    assert found[60, 60, 0] > found[60, 60, 2] + 100  # red
    assert found[220, 220, 2] > found[220, 220, 0] + 100  # blue
    far = np.ones((320, 320), bool)
    far[30:90, 30:90] = far[190:250, 190:250] = False
    assert is_grey(found[far].astype(np.uint8)).all()


def test_more_relevance_hides_more_of_the_picture() -> None:
    photo = Image.new("RGB", (32, 32), (128, 128, 128))
    maps = [np.full((32, 32), value, np.float32) for value in (0, 0.1, 0.5, 1)]
    pictures = [
        rgb(overlay_png(relevance, RenderOptions(1, 32, "bwr"), photo)) for relevance in maps
    ]
    reds = [int(np.ptp(picture[0, 0])) for picture in pictures]

    assert reds[0] == 0
    assert sorted(set(reds)) == reds


# --- maps of layers, which are smaller than the image


@pytest.mark.parametrize("shape", [(8, 8), (7, 5), (1, 1), (64, 64)])
def test_layer_maps_of_any_shape_are_rendered_at_the_size_of_the_image(
    shape: tuple[int, int],
) -> None:
    photo, image_size = smooth_photo(40, 20), (32, 16)

    heatmap = opened(heatmap_png(random_map(*shape), RenderOptions(0.02, 80, "bwr", image_size)))
    overlay = opened(
        overlay_png(random_map(*shape), RenderOptions(0.02, 80, "bwr", image_size), photo)
    )

    assert heatmap.size == overlay.size == (40, 80)


def test_a_layer_map_is_enlarged_to_squares() -> None:
    relevance = random_map(4, 4)

    found = rgb(heatmap_png(relevance, RenderOptions(0.02, 32, "bwr", (32, 32))))

    expected = color_table("bwr")[color_indices(relevance, 0.02)].repeat(8, 0).repeat(8, 1)
    assert np.array_equal(found, expected)


# --- enlargement


def test_smooth_relevance_is_interpolated_before_it_gets_colours() -> None:
    step, size = row(-0.8, 0.8), (4, 1)

    found = rgb(
        heatmap_png(step, RenderOptions(1.0, size[0], enlarge="smooth", image_size=size[::-1]))
    )

    # the centres of the pixels are at 1 and 3 of 4; in between it is linear, beyond constant
    shares = np.array([[-0.8, -0.4, 0.4, 0.8]])
    assert found.tolist() == color_table("bwr")[np.rint(127 + 127 * shares).astype(int)].tolist()


@pytest.mark.parametrize("side", [32, 100, 512])
def test_smooth_and_nearest_agree_where_pixels_have_their_centres(side: int) -> None:
    relevance, bound = random_map(), 0.02
    places = np.floor((np.arange(32) + 0.5) * side / 32).astype(int)

    smooth = rgb(heatmap_png(relevance, RenderOptions(bound, side, enlarge="smooth")))
    nearest = rgb(heatmap_png(relevance, RenderOptions(bound, side, enlarge="nearest")))

    centres = smooth[places][:, places].astype(int), nearest[places][:, places].astype(int)
    limit = 255 * 32 / side * np.abs(np.diff(relevance)).max() / bound  # half a pixel off
    assert np.abs(centres[0] - centres[1]).max() <= (0 if side == 32 else limit)


def test_each_picture_has_its_own_default() -> None:
    relevance, photo = random_map(), smooth_photo(128, 128)

    def both(enlarge: Enlarge | None) -> tuple[bytes, bytes]:
        options = RenderOptions(0.02, 128, enlarge=enlarge)
        return heatmap_png(relevance, options), overlay_png(relevance, options, photo)

    default, nearest, smooth = both(None), both("nearest"), both("smooth")
    assert default == (nearest[0], smooth[1])
    assert nearest[0] != smooth[0]
    assert nearest[1] != smooth[1]


def test_a_nearest_overlay_has_squares_on_an_even_picture() -> None:
    photo = Image.new("RGB", (128, 128), (128, 128, 128))

    found = rgb(overlay_png(random_map(), RenderOptions(0.02, 128, enlarge="nearest"), photo))

    assert np.array_equal(found, found[::4, ::4].repeat(4, 0).repeat(4, 1))


# --- contours and colour bars


def test_contours_are_lines_in_the_colours_of_for_and_against() -> None:
    relevance = np.zeros((32, 32), np.float32)
    relevance[4:12, 4:12], relevance[20:28, 20:28] = 1, -1
    photo = Image.new("RGB", (320, 320), (128, 128, 128))
    options = RenderOptions(1.0, 320, overlay_style="contours")

    found = rgb(overlay_png(relevance, options, photo)).astype(int)

    reds, blues = (found[..., i] > found[..., 2 - i] + 100 for i in (0, 2))
    assert reds[30:130, 30:130].any()
    assert blues[190:290, 190:290].any()
    assert not reds[130:].any()
    assert not blues[:190].any()
    inside = found[60:100, 60:100]  # where the relevance is the largest there is no line
    assert is_grey(inside.astype(np.uint8)).all()


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("bound", [0.0, 0.02, 1e300])
def test_beside_a_colour_bar_the_picture_is_what_it_is_without(
    options: RenderOptions, bound: float
) -> None:
    relevance, photo = random_map(20, 40), smooth_photo(64, 128)
    plain = replace(options, bound=bound, side=128)
    barred = replace(plain, color_bar=True)

    pictures = [rgb(heatmap_png(relevance, one)) for one in (plain, barred)]
    overlays = [rgb(overlay_png(relevance, one, photo)) for one in (plain, barred)]

    for without, with_bar in (pictures, overlays):
        assert with_bar.shape[1] > without.shape[1]
        assert np.array_equal(with_bar[:64, :128], without)


@pytest.mark.parametrize("name", COLORMAPS)
@pytest.mark.parametrize("enlarge", ["nearest", "smooth"])
def test_the_bar_of_a_heatmap_has_all_of_its_colours(name: str, enlarge: Enlarge) -> None:
    options = RenderOptions(0.02, 510, name, enlarge=enlarge, color_bar=True)

    bar = rgb(heatmap_png(random_map(), options))[:, 510 + 20]

    shown = bar.astype(int)[1:-1]
    nearest = np.abs(shown[:, None] - color_table(name)[::-1]).sum(2).argmin(1)
    assert (np.diff(nearest) >= 0).all()
    assert (nearest[0], nearest[-1]) == (0, 254)


def test_the_bar_of_contours_has_the_lines_of_the_levels() -> None:
    options = RenderOptions(0.02, 400, overlay_style="contours", color_bar=True)

    bar = rgb(overlay_png(random_map(), options, smooth_photo(400, 400)))[:, 400 + 20].astype(int)

    for sign, channel in ((1, 0), (-1, 2)):
        for level in LEVELS:
            place = round(200 * (1 - sign * level))
            line = bar[max(place - 3, 0) : place + 3]
            assert (line[:, channel] > line[:, 2 - channel] + 80).any()
    assert (bar[195:205] == 255).all()


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_zero_relevance_is_rendered_without_colour(options: RenderOptions) -> None:
    nothing, barred = np.zeros((8, 8), np.float32), replace(options, bound=0.0, color_bar=True)

    assert is_grey(rgb(heatmap_png(nothing, barred))).all()
    assert is_grey(rgb(overlay_png(nothing, barred, smooth_photo(64, 64)))).all()
