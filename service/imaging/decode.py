"""Decode the bytes of an image file into an upright RGB picture."""

from __future__ import annotations

import io

from PIL import Image, ImageOps

from service.errors import NotAnImage, TooLarge, UnsupportedMediaType

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
FORMAT_NAMES = "PNG, JPEG, WebP, GIF, BMP or TIFF"
_MODES_16_BIT = ("I;16", "I;16L", "I;16B", "I;16N")

# Pillow's own guard warns, or raises, at numbers of its own; `decode` checks the limit that the
# operator has set, before any pixel is decoded.
Image.MAX_IMAGE_PIXELS = None


def decode(content: bytes, max_pixels: int) -> Image.Image:
    """Decode an image file.

    Grey, palette, 16-bit, CMYK and transparent images become RGB (transparency is composited on
    white), of an animation the first frame is taken, and the EXIF orientation is applied.

    Parameters
    ----------
    content : bytes
        A whole file in one of `FORMATS`.
    max_pixels : int
        More than this, as the file's header declares it, is refused before decoding.

    Returns
    -------
    Image.Image
        An upright picture in mode RGB.

    Raises
    ------
    NotAnImage
        The file is empty, is no image, or a broken one.
    TooLarge
        It has more than `max_pixels`.
    UnsupportedMediaType
        It is an image of a kind that is not read.
    """
    if not content:
        raise NotAnImage("the image is empty (0 bytes): send the bytes of an image file")
    image = _open(content)
    width, height = image.size
    if width * height > max_pixels:
        raise TooLarge(
            f"the image has {width} x {height} = {width * height} pixels; "
            f"at most {max_pixels} are accepted: send a smaller one"
        )
    try:
        image.load()
        return _to_rgb(_upright(image))
    except UnsupportedMediaType:
        raise
    except Exception as error:  # decoders raise anything when fed hostile bytes
        raise NotAnImage(
            f"the image is broken: its header says {image.format}, but it cannot be decoded "
            "(truncated or damaged); send the whole file"
        ) from error


def _open(content: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(content), formats=FORMATS)
    except Exception as error:  # as above
        raise NotAnImage(f"the bytes are not a {FORMAT_NAMES} image that can be read") from error


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001  a damaged EXIF block is no reason to refuse good pixels
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode in _MODES_16_BIT:
        # Pillow clips when it converts; the upper byte is the 8-bit value
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L").convert("RGB")
    if image.mode in ("I", "F"):
        raise UnsupportedMediaType(
            "the image has 32 bits per channel; convert it to 8 or 16 bits per channel"
        )
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")
