"""PNGs of our own, read by Pillow: every pixel is the nearest one of the map."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from service.imaging.png import palette_png, rgb_png

PALETTE = bytes(range(256)) * 3


@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    seed=st.integers(0, 1000),
)
def test_a_map_is_enlarged_as_pillow_does_it(
    shape: tuple[int, int], size: tuple[int, int], seed: int
) -> None:
    indices = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    picture = Image.open(io.BytesIO(palette_png(indices, size, PALETTE)))
    assert (picture.mode, picture.size) == ("P", size)
    assert bytes(picture.getpalette() or ()) == PALETTE
    columns = ((np.arange(size[0]) + 0.5) * shape[1] / size[0]).astype(int)
    rows = ((np.arange(size[1]) + 0.5) * shape[0] / size[1]).astype(int)
    np.testing.assert_array_equal(np.asarray(picture), indices[rows][:, columns])


def test_the_sums_are_right() -> None:
    content = palette_png(np.zeros((2, 2), np.uint8), (4, 4), PALETTE)
    Image.open(io.BytesIO(content)).verify()
    damaged = content.replace(b"IDAT", b"IDAU")
    with pytest.raises((SyntaxError, OSError)):
        Image.open(io.BytesIO(damaged)).verify()


def test_an_enlarged_map_takes_hardly_more_bytes_than_a_small_one() -> None:
    indices = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    small, large = (len(palette_png(indices, (side, side), PALETTE)) for side in (32, 512))
    assert large < 3 * small


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (40, 64)])
def test_pictures_are_written_without_a_loss(shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)

    read = Image.open(io.BytesIO(rgb_png(picture)))

    assert read.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(read), picture)


def test_a_part_of_a_picture_is_written_as_it_is() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)[::2, ::-1]

    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(rgb_png(picture)))), picture)
