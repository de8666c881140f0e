"""The EXIF orientation is applied once, to the pixels and to the size."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from service.imaging.decode import EncodedImage, decode
from tests.helpers.pictures import (
    Array,
    encode,
    noise,
    smooth_photo,
    with_orientation,
)
from tests.imaging.decoded import LOSSLESS, grey_rgb, jpeg, pixels

# how the stored pixels become upright, as EXIF defines the values
UPRIGHT: dict[int, Callable[[Array], Array]] = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),  # clockwise
    7: lambda stored: stored[::-1, ::-1].transpose(1, 0, 2),
    8: lambda stored: np.rot90(stored, 1),
}


@pytest.mark.parametrize(
    ("file_format", "orientation"),
    [*(("PNG", orientation) for orientation in UPRIGHT), ("TIFF", 5), ("TIFF", 6), ("WEBP", 7)],
)
def test_orientation_is_applied_once(file_format: str, orientation: int) -> None:
    stored = noise(6, 10, 3)
    options = LOSSLESS[file_format]

    content = encode(
        Image.fromarray(stored), file_format, exif=with_orientation(orientation), **options
    )

    assert np.array_equal(pixels(content), UPRIGHT[orientation](stored))


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_orientation_of_a_jpeg(orientation: int) -> None:
    corners = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]], np.uint8)
    stored = corners.repeat(16, axis=0).repeat(24, axis=1)

    content = encode(Image.fromarray(stored), "JPEG", exif=with_orientation(orientation))

    found = pixels(content)
    expected = UPRIGHT[orientation](stored)
    assert found.shape == expected.shape
    assert (
        np.abs(
            found[[4, 4, -4, -4], [4, -4, 4, -4]].astype(int)
            - expected[[4, 4, -4, -4], [4, -4, 4, -4]]
        ).max()
        < 40
    )


def test_orientation_of_other_modes() -> None:
    grey = np.random.default_rng(0).integers(0, 2**16, (6, 10), dtype=np.uint16)

    content = encode(Image.fromarray(grey), "PNG", exif=with_orientation(6))

    assert np.array_equal(pixels(content), np.rot90(grey_rgb(grey // 256), -1))


@pytest.mark.filterwarnings("ignore")  # Pillow warns of what it cannot read
@pytest.mark.parametrize(
    "exif",
    [
        pytest.param(b"Exif\0\0" + b"garbage!!!", id="garbage"),
        pytest.param(b"Exif\0\0II*\0\xff\xff\xff\xff junk", id="offset beyond the end"),
        pytest.param(b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", id="more entries than bytes"),
        pytest.param(b"Exif\0\0", id="empty"),
        pytest.param(with_orientation(99).tobytes(), id="no such orientation"),
    ],
)
def test_a_damaged_exif_block_is_ignored(exif: bytes) -> None:
    picture = smooth_photo(16, 24)

    found = pixels(encode(picture, "JPEG", exif=exif))

    assert np.array_equal(found, pixels(encode(picture, "JPEG")))


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("size", [(640, 480), (130, 129)])
def test_the_original_of_a_reduced_jpeg_is_upright(size: tuple[int, int], orientation: int) -> None:
    content = jpeg(*size, exif=with_orientation(orientation))
    decoded = EncodedImage(content).decode(10_000_000, 32)
    full = decode(content, 10_000_000)
    assert decoded.original == (full.height, full.width)
    assert decoded.image.width < full.width
    assert decoded.image.height < full.height


@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
def test_a_picture_is_turned_though_its_exif_block_cannot_be_written_anew(file_format: str) -> None:
    # Pillow cannot write a negative width
    turned, width = struct.pack("<HHIHH", 0x112, 3, 1, 6, 0), struct.pack("<HHIi", 0x100, 9, 1, -5)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + turned + width + bytes(4)
    content = encode(smooth_photo(50, 100), file_format, exif=exif)
    decoded = EncodedImage(content).decode(10_000)
    assert decoded.original == (decoded.image.height, decoded.image.width) == (100, 50)
