"""Decoded images as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from service.imaging.decode import decode
from tests.helpers.pictures import Array, encode, smooth_photo

MAX_PIXELS = 1_000_000
LOSSLESS: dict[str, dict[str, Any]] = {"PNG": {}, "BMP": {}, "TIFF": {}, "WEBP": {"lossless": True}}


def pixels(content: bytes, max_pixels: int = MAX_PIXELS) -> Array:
    """The decoded RGB pixels, shape (H, W, 3)."""
    image = decode(content, max_pixels)
    assert image.mode == "RGB"
    return np.asarray(image)


def grey_rgb(grey: Any) -> Array:
    """RGB pixels of the same grey levels."""
    return np.repeat(np.asarray(grey, np.uint8)[..., None], 3, axis=-1)


def jpeg(width: int, height: int, **options: Any) -> bytes:
    """A JPEG of a smooth photo."""
    return encode(smooth_photo(height, width), "JPEG", quality=90, **options)
