"""TIFFs as tifffile writes them: right pixels, or an error that names what is not read."""

from __future__ import annotations

import io
from itertools import product
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from service.errors import UnsupportedMediaType
from service.imaging.decode import decode
from tests.helpers.covering import covering
from tests.helpers.pictures import Array, noise, smooth_photo
from tests.imaging.decoded import MAX_PIXELS, grey_rgb, pixels

DTYPES = ("u1", "u2", "u4", "i1", "i2", "f2", "f4")
READ_DTYPES = ("u1", "u2")
N_CHANNELS = {"minisblack": 1, "miniswhite": 1, "palette": 1, "rgb": 3, "rgba": 4, "separated": 4}
COMPRESSIONS = (None, "zlib", "zlib with predictor", "lzma")
PALETTE = noise(3, 256)
Case = tuple[str, str, str, Any, str | None, bool]  # dtype, kind, planes, order, coding, tiles


def is_possible(case: Case) -> bool:
    """Whether TIFF and tifffile have the combination."""
    dtype, kind, planes, _, compression, _ = case
    if kind == "palette":
        return dtype == "u1" and planes == "contig" and compression != "zlib with predictor"
    if planes == "separate" and N_CHANNELS[kind] == 1:
        return False
    return not (dtype[0] == "f" and compression == "zlib with predictor")


POSSIBLE = list(
    filter(
        is_possible,
        product(DTYPES, N_CHANNELS, ("contig", "separate"), "<>", COMPRESSIONS, (False, True)),
    )
)
READ = covering((case for case in POSSIBLE if case[0] in READ_DTYPES), strength=3)
CASES = dict.fromkeys([*READ, *covering(POSSIBLE)])


def write(image: NDArray[Any], case: Case) -> bytes:
    """A TIFF of samples, shape (H, W, channels)."""
    _, kind, planes, order, compression, is_tiled = case
    options: dict[str, Any] = {"photometric": "rgb" if kind == "rgba" else kind}
    if kind == "palette":
        options["colormap"] = PALETTE.astype(np.uint16) * 257
    if kind == "rgba":
        options["extrasamples"] = ["unassalpha"]
    if N_CHANNELS[kind] > 1:
        options["planarconfig"] = planes
    if compression is not None:
        options |= {"compression": compression.split()[0], "predictor": "with" in compression}
    if is_tiled:
        options["tile"] = (16, 16)
    samples = np.moveaxis(image, -1, 0) if planes == "separate" else image
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, byteorder=order) as file:
        file.write(samples[..., 0] if N_CHANNELS[kind] == 1 else samples, metadata=None, **options)
    return buffer.getvalue()


def expected_rgb(levels: Array, kind: str) -> NDArray[Any]:
    """RGB of 8-bit samples, shape (H, W, channels)."""
    values: NDArray[np.float64] = levels.astype(np.float64)
    if kind == "palette":
        colors: Array = PALETTE.T[levels[..., 0]]
        return colors
    if kind in ("minisblack", "miniswhite"):
        grey = levels[..., 0]
        return grey_rgb(255 - grey if kind == "miniswhite" else grey)
    if kind == "separated":
        values = (255 - values[..., :3]) * (255 - values[..., 3:]) / 255
    if kind == "rgba":
        values = (values[..., :3] * values[..., 3:] + 255 * (255 - values[..., 3:])) / 255
    return values


def samples_of(levels: Array, dtype: str) -> NDArray[Any]:
    """8-bit levels as samples of a type, over its range."""
    if dtype[0] == "f":
        return (levels / 255).astype(dtype)
    shift = 8 * int(dtype[1]) - (dtype[0] == "i") - 8
    samples = levels.astype(np.uint64)
    return (samples << shift if shift >= 0 else samples >> 1).astype(dtype)


def read(content: bytes) -> Array | str:
    """The pixels, or the error for what is not read."""
    try:
        return pixels(content)
    except UnsupportedMediaType as error:
        return str(error)


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
def test_pixels_are_right_or_what_is_not_read_is_named(case: Case) -> None:
    dtype, kind, _, _, compression, _ = case
    levels = noise(20, 36, N_CHANNELS[kind])

    found = read(write(samples_of(levels, dtype), case))

    if isinstance(found, str):
        assert "TIFF with" in found
        assert dtype not in READ_DTYPES or compression == "lzma"
    else:
        assert dtype in READ_DTYPES
        assert np.abs(found - expected_rgb(levels, kind)).max() <= 2


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_thumbnail_is_skipped(order: Any) -> None:
    photo = np.asarray(smooth_photo(40, 56))
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, byteorder=order) as file:
        file.write(noise(10, 14, 3), photometric="rgb", subfiletype=1)
        file.write(photo, photometric="rgb", subfiletype=0)

    assert np.array_equal(pixels(buffer.getvalue()), photo)


def test_a_thumbnail_is_not_taken_for_the_picture_below_it() -> None:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:  # as in DNG
        file.write(noise(10, 14, 3), photometric="rgb", subfiletype=1, subifds=1)
        file.write(noise(40, 56, 3), photometric="rgb", subfiletype=0)

    with pytest.raises(UnsupportedMediaType, match="only a thumbnail"):
        decode(buffer.getvalue(), MAX_PIXELS)


def test_a_thumbnail_alone_is_the_picture() -> None:
    photo = np.asarray(smooth_photo(40, 56))
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, photo, photometric="rgb", subfiletype=1)
    assert decode(buffer.getvalue(), MAX_PIXELS).size == (56, 40)
