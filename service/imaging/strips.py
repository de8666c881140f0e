"""Conversion of large images strip by strip, which takes a fraction of the memory."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image

_STRIP_PIXELS = 1 << 20


def in_strips(
    image: Image.Image, mode: str, convert: Callable[[Image.Image], Image.Image]
) -> Image.Image:
    """Apply a conversion, in which each pixel depends on itself only, to strips of an image.

    Parameters
    ----------
    image : Image.Image
        Of any size; a small one is converted as a whole.
    mode : str
        The mode of the converted image.
    convert : callable
        Converts an image.
    """
    width, height = image.size
    n_rows = max(1, _STRIP_PIXELS // width)
    if n_rows >= height:
        return convert(image)
    converted = Image.new(mode, image.size)
    for top in range(0, height, n_rows):
        strip = image.crop((0, top, width, min(top + n_rows, height)))
        converted.paste(convert(strip), (0, top))
    return converted
