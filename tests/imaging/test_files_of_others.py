"""Files of other programs, with pixels that independent decoders read.

`files/NAME.npy` holds the right RGB pixels, of shape (1 or 2, H, W, 3): the first are right.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from service.errors import NotAnImage, UnsupportedMediaType
from service.imaging.decode import decode
from tests.helpers.pictures import Array
from tests.imaging.decoded import MAX_PIXELS, pixels

FILES = Path(__file__).parent / "files"


def content_of(name: str) -> bytes:
    return (FILES / name).read_bytes()


def right_pixels(name: str) -> Array:
    rgb: Array = np.load(FILES / f"{name}.npy")[0]
    return rgb


@pytest.mark.parametrize(
    "name",
    ["icc_adobe_automobile3.png", "icc_gbr.jpg", "icc_gbr.png", "icc_gbr.tiff",
     "tif_gray16_be.tif", "tif_gray16_wiz.tif", "tif_rgb16_planar.tif"],
)  # fmt: skip
def test_pixels_are_those_of_independent_decoders(name: str) -> None:
    found = pixels(content_of(name)).astype(int)
    assert np.abs(found - right_pixels(name)).max() <= 1


def test_a_png_of_linear_light() -> None:
    linear = np.asarray(Image.open(FILES / "png_gama_linear.png").convert("RGB"))
    difference = np.abs(pixels(content_of("png_gama_linear.png")) - right_pixels(
        "png_gama_linear.png").astype(int))  # fmt: skip
    assert difference[linear >= 24].max() <= 1
    assert difference.max() <= 6  # darker levels lost their precision when the file was written


def test_white_is_zero_is_read_alike_in_both_byte_orders() -> None:
    little, big = (pixels(content_of(f"tif_gray16_wiz{end}.tif")) for end in ("", "_be"))
    assert np.abs(little.astype(int) - big).max() <= 1


@pytest.mark.parametrize(
    "name", ["exif_png_after_idat.png", "exif_png_rawprofile.png", "exif_webp_6.webp"]
)
def test_orientation_is_applied_wherever_it_stands(name: str) -> None:
    with Image.open(FILES / name) as stored:
        assert stored.size == (32, 48)
    assert decode(content_of(name), MAX_PIXELS).size == (48, 32)


def test_a_png_with_a_damaged_text_is_shown() -> None:
    assert pixels(content_of("png_text_badcrc.png")).shape == (32, 32, 3)


def test_an_avif_is_read() -> None:
    assert pixels(content_of("a.avif")).std() > 10


def test_a_jpeg_whose_last_third_is_zeros_is_broken() -> None:
    with pytest.raises(NotAnImage, match=r"says JPEG.*damaged"):
        decode(content_of("jpg_zero_tail.jpg"), MAX_PIXELS)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("tif_gray16_signed.tif", "16-bit signed samples"),
        ("tif_gray16f.tif", "16-bit floating-point samples"),
        ("tif_gray32f.tif", "32-bit floating-point samples"),
        ("tif_rgb32f.tif", "32-bit floating-point samples"),
        ("tif_rgb8_webp.tif", "WebP compression"),
    ],
)
def test_what_is_not_read_is_named(name: str, reason: str) -> None:
    with pytest.raises(UnsupportedMediaType, match=f"TIFF with {reason} is not read; convert"):
        decode(content_of(name), MAX_PIXELS)
