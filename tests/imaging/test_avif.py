"""AVIF: its orientation, transparency, sequences and colours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from service.imaging.formats import HAS_AVIF
from tests.helpers.pictures import Array, encode, smooth_photo, with_orientation
from tests.imaging.decoded import pixels
from tests.imaging.test_orientation import UPRIGHT

pytestmark = pytest.mark.skipif(not HAS_AVIF, reason="Pillow is built without libavif")


def avif(image: Image.Image, **options: Any) -> bytes:
    return encode(image, "AVIF", quality=95, subsampling="4:4:4", speed=10, **options)


def distance(found: Array, expected: Array) -> float:
    assert found.shape == expected.shape
    return float(np.abs(found - expected.astype(int)).max())


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_an_image_is_turned_by_its_boxes(orientation: int) -> None:
    photo = smooth_photo(24, 40)

    content = avif(photo, exif=with_orientation(orientation))

    assert (b"irot" in content or b"imir" in content) == (orientation != 1)
    assert b"Exif" not in content  # so that nothing but the boxes turns it
    assert distance(pixels(content), UPRIGHT[orientation](np.asarray(photo))) <= 6


def test_transparency_is_composited_on_white() -> None:
    photo = smooth_photo(32, 32).convert("RGBA")
    photo.paste((0, 0, 0, 0), (0, 0, 16, 32))

    found = pixels(avif(photo))

    assert (found[:, :12] == 255).all()
    assert distance(found[:, 20:], np.asarray(smooth_photo(32, 32))[:, 20:]) <= 6


def test_the_first_frame_of_a_sequence_is_taken() -> None:
    first, *others = (Image.new("RGB", (16, 16), color) for color in ("red", "lime", "blue"))

    found = pixels(avif(first, save_all=True, append_images=others))

    assert distance(found, np.asarray(first)) <= 6
