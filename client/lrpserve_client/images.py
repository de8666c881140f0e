"""Images of any supported type, encoded as files."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

ImageSource = bytes | str | os.PathLike[str] | Image.Image | NDArray[np.uint8]


def image_bytes(image: ImageSource) -> bytes:
    """The image as the bytes of a file; PIL images and arrays become PNGs.

    Parameters
    ----------
    image
        The bytes of a file, its path, a PIL image (its EXIF orientation is applied), or a uint8
        array of shape (height, width, 3).

    Raises
    ------
    TypeError, ValueError
        Another type, or an array of another dtype or shape.
    OSError
        The file cannot be read.
    """
    if isinstance(image, bytes):
        return image
    if isinstance(image, str | os.PathLike):
        return Path(image).read_bytes()
    if isinstance(image, np.ndarray):
        return _png(_from_array(image))
    if isinstance(image, Image.Image):
        return _png(ImageOps.exif_transpose(image))  # PNG would lose its orientation
    raise TypeError(
        "an image is bytes, a path, a PIL image or a numpy array, "
        f"not {type(image).__module__}.{type(image).__name__}"
    )


def _from_array(array: NDArray[np.uint8]) -> Image.Image:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise ValueError(
            "an array has to be uint8 of shape (height, width, 3), "
            f"not {array.dtype} of shape {array.shape}"
        )
    return Image.fromarray(array)


def _png(image: Image.Image) -> bytes:
    # lossless, in the modes that PNG has; the service converts them to RGB
    has_png_mode = image.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
    buffer = io.BytesIO()
    (image if has_png_mode else image.convert("RGB")).save(buffer, "PNG")
    return buffer.getvalue()
