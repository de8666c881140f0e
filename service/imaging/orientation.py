"""The EXIF orientation of an image: pixels, size and boxes turned upright."""

from __future__ import annotations

from PIL import ExifTags, Image

Extent = tuple[float, float, float, float]
TURNED = frozenset((5, 6, 7, 8))  # orientations that exchange rows and columns
_MIRRORED_X = frozenset((2, 3, 7, 8))  # of the stored image: its right side becomes left or top
_MIRRORED_Y = frozenset((3, 4, 6, 7))
_METHODS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def orientation(exif: bytes | None) -> int:
    """The orientation in EXIF data, 1 to 8; 1 where there is none or the data are damaged."""
    if not exif:
        return 1
    try:
        block = Image.Exif()
        block.load(exif)
        value = block.get(ExifTags.Base.Orientation)
        return value if value in _METHODS else 1
    except Exception:  # noqa: BLE001  a damaged EXIF block is no reason to refuse good pixels
        return 1


def upright(image: Image.Image, value: int) -> Image.Image:
    """Turn an image as its orientation says."""
    return image.transpose(_METHODS[value]) if value in _METHODS else image


def upright_extent(extent: tuple[float, float], size: tuple[int, int], value: int) -> Extent:
    """Turn the part of an image that starts at its upper left corner.

    Parameters
    ----------
    extent : tuple of 2 float
        Width and height of the part, in pixels of the stored image.
    size : tuple of 2 int
        Width and height of the stored image.
    value : int
        The orientation.

    Returns
    -------
    tuple of 4 float
        Left, top, right and bottom, in pixels of the upright image.
    """
    left = size[0] - extent[0] if value in _MIRRORED_X else 0
    top = size[1] - extent[1] if value in _MIRRORED_Y else 0
    right, bottom = left + extent[0], top + extent[1]
    return (top, left, bottom, right) if value in TURNED else (left, top, right, bottom)
