"""Decode the bytes of an image file into an upright RGB picture."""

from __future__ import annotations

import io
import re

import numpy as np
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngImageFile

from service.errors import NotAnImage, TooLarge, UnsupportedMediaType

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
FORMAT_NAMES = "PNG, JPEG, WebP, GIF, BMP or TIFF"
_MODES_16_BIT = ("I;16", "I;16L", "I;16B", "I;16N")
# Pillow widens or narrows the samples of these PNGs to 8 bits, but not their transparent colour
_KEY_FACTORS = {"L;2": 85.0, "L;4": 17.0, "RGB;16B": 1 / 256}
# kinds of images that people do send, to say so rather than "not an image"
_OTHER_FORMATS = {
    "HEIC": rb"....ftyp(heic|heix|hevc|mif1|msf1)",
    "AVIF": rb"....ftypavi[fs]",
    "JPEG 2000": rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51",
    "JPEG XL": rb"\xff\x0a|\0\0\0\x0cJXL ",
    "SVG": rb"(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?(<!DOCTYPE svg|<svg)",
    "PDF": rb"%PDF-",
    "EPS": rb"%!PS|\xc5\xd0\xd3\xc6",
    "ICO": rb"\0\0[\1\2]\0[^\0]\0",
    "ICNS": rb"icns",
    "PSD": rb"8BPS",
    "PPM": rb"P[1-7]\s",
}

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
        if isinstance(image, PngImageFile):
            image.verify()  # Pillow checks the sums of a PNG's pixels only when asked to,
            image = _open(content)  # and has to open the file again afterwards
            _scale_transparent_color(image)
        image.load()
        return _to_rgb(_upright(image))
    except UnsupportedMediaType:
        raise
    except Exception as error:  # decoders raise anything when fed hostile bytes
        raise NotAnImage(
            f"the image is broken: its header says {image.format}, but it cannot be decoded "
            "(truncated or damaged); send the whole file"
        ) from error


def count_pixels(content: bytes) -> int:
    """Count the pixels that a file's header declares; 0 if it is no image."""
    try:
        width, height = Image.open(io.BytesIO(content), formats=FORMATS).size
    except Exception:  # noqa: BLE001  `decode` says what is wrong with it
        return 0
    return int(width * height)


def _open(content: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(content), formats=FORMATS)
    except Exception as error:  # as above
        for name, start in _OTHER_FORMATS.items():
            if re.match(start, content[:1000], re.DOTALL):
                raise UnsupportedMediaType(
                    f"{name} is not read; convert the image to {FORMAT_NAMES}"
                ) from error
        raise NotAnImage(
            f"the bytes are not a {FORMAT_NAMES} image that can be read; send a whole image file"
        ) from error


def _scale_transparent_color(image: Image.Image) -> None:
    """Bring the one colour that a PNG declares transparent to the 8 bits that pixels will have."""
    if not isinstance(image, PngImageFile) or not image.tile:
        return
    key = image.info.get("transparency")
    factor = _KEY_FACTORS.get(str(image.tile[0].args))
    if factor and isinstance(key, int):
        image.info["transparency"] = int(key * factor)
    elif factor and isinstance(key, tuple):
        image.info["transparency"] = tuple(int(value * factor) for value in key)


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001  a damaged EXIF block is no reason to refuse good pixels
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode in _MODES_16_BIT:
        return _from_16_bit(image)
    if image.mode in ("I", "F"):
        raise UnsupportedMediaType(
            "the image has 32 bits per channel; convert it to 8 or 16 bits per channel"
        )
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _from_16_bit(image: Image.Image) -> Image.Image:
    # Pillow clips when it converts; the upper byte is the 8-bit value
    values = np.asarray(image.convert("I"))
    grey = (values >> 8).astype(np.uint8)
    grey[values == image.info.get("transparency", -1)] = 255
    return Image.fromarray(grey).convert("RGB")
