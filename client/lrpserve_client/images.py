"""What a caller has as an image, as the bytes of a file."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

ImageSource = bytes | str | os.PathLike[str] | Image.Image | NDArray[np.uint8]


def image_bytes(image: ImageSource) -> bytes:
    """The file of an image.

    Parameters
    ----------
    image
        The bytes of a file, its path, a PIL image (sent upright), or an array uint8 of shape
        (height, width, 3).

    Raises
    ------
    TypeError, ValueError
        Something else, or an array of another type or shape.
    OSError
        The file cannot be read.
    """
    if isinstance(image, bytes):
        return image
    if isinstance(image, str | os.PathLike):
        return Path(image).read_bytes()
    if isinstance(image, np.ndarray):
        return _png(_picture_of(image))
    if isinstance(image, Image.Image):
        return _png(ImageOps.exif_transpose(image))  # PNG would lose how it is held
    raise TypeError(
        "an image is bytes, a path, a PIL image or a numpy array, "
        f"not {type(image).__module__}.{type(image).__name__}"
    )


def _picture_of(array: NDArray[np.uint8]) -> Image.Image:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise ValueError(
            "an array has to be uint8 of shape (height, width, 3), "
            f"not {array.dtype} of shape {array.shape}"
        )
    return Image.fromarray(array)


def _png(picture: Image.Image) -> bytes:
    # without loss, and of those modes that PNG has; the service makes RGB of them
    known = picture.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
    buffer = io.BytesIO()
    (picture if known else picture.convert("RGB")).save(buffer, "PNG")
    return buffer.getvalue()
