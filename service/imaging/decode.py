"""Decoding of an image file into an upright RGB image."""

from __future__ import annotations

import io
import re
import struct
import zlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import ExifTags, Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from service.errors import NotAnImage, TooLarge, UnsupportedMediaType

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
FORMAT_NAMES = "PNG, JPEG, WebP, GIF, BMP or TIFF"
_PNG_SIGNATURE_BYTES = 8
_TURNED = (5, 6, 7, 8)  # EXIF orientations that exchange rows and columns
_COMPRESSED_CHUNKS = (b"zTXt", b"iTXt", b"iCCP")  # of a PNG; each may become a megabyte
_MODES_16_BIT = ("I;16", "I;16L", "I;16B", "I;16N")
# Pillow widens or narrows the samples of these PNGs to 8 bits, but not their transparent colour
_KEY_FACTORS = {"L;2": 85.0, "L;4": 17.0, "RGB;16B": 1 / 256}
# common formats that are not supported, to name them rather than say "not an image"
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


@dataclass(frozen=True)
class Decoded:
    """A decoded image, perhaps at a reduced size.

    Attributes
    ----------
    image : Image.Image
        Upright, mode RGB.
    original : tuple of 2 int
        Height and width of the upright image at its full size, in pixels.
    """

    image: Image.Image
    original: tuple[int, int]


class EncodedImage:
    """An image file whose header is read lazily, and whose pixels are read by `decode`.

    Parameters
    ----------
    content : bytes
        A whole file in one of `FORMATS`.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content

    @cached_property
    def _image(self) -> Image.Image:
        return _open(self.content)

    @property
    def n_pixels(self) -> int:
        """Number of pixels according to the header.

        Raises
        ------
        NotAnImage, UnsupportedMediaType
            As `decode` does.
        """
        width, height = self._image.size
        return width * height

    @property
    def has_slow_header(self) -> bool:
        """Whether reading the header may be slow: it decompresses texts and profiles."""
        return any(kind in self.content for kind in _COMPRESSED_CHUNKS)

    def decode(self, max_pixels: int, side: int | None = None) -> Decoded:
        """Decode the image; can be called once.

        Grey, palette, 16-bit, CMYK and transparent images become RGB (transparency is composited
        on white), an animation is reduced to its first frame, and the EXIF orientation is applied.

        Parameters
        ----------
        max_pixels : int
            Images with more pixels, according to the header, are refused before decoding.
        side : int, optional
            The shorter side that is needed, in pixels: a much larger JPEG is decoded at a half, a
            quarter or an eighth of its size, up to ten times as fast, but never with a shorter
            side below twice `side`.

        Raises
        ------
        NotAnImage
            The file is empty, not an image, or broken.
        TooLarge
            It has more than `max_pixels` pixels.
        UnsupportedMediaType
            Its format or its depth is not supported.
        """
        image = self._image
        width, height = image.size
        if width * height > max_pixels:
            raise TooLarge(
                f"the image has {width} x {height} = {width * height} pixels; "
                f"at most {max_pixels} are accepted: send a smaller one"
            )
        try:
            return self._decode(image, side)
        except UnsupportedMediaType:
            raise
        except Exception as error:  # decoders raise anything when fed hostile bytes
            raise NotAnImage(
                f"the image is broken: its header says {image.format}, but it cannot be decoded "
                "(truncated or damaged); send the whole file"
            ) from error

    def _decode(self, image: Image.Image, side: int | None) -> Decoded:
        width, height = image.size
        if isinstance(image, PngImageFile):
            _verify_crcs(self.content)
            _scale_transparent_color(image)
        if isinstance(image, JpegImageFile) and side is not None:
            image.draft(None, (2 * side, 2 * side))
        image.load()
        upright, is_turned = _upright(image)
        return Decoded(_to_rgb(upright), (width, height) if is_turned else (height, width))


def decode(content: bytes, max_pixels: int) -> Image.Image:
    """Decode an image file at its full size, as `EncodedImage.decode` does."""
    return EncodedImage(content).decode(max_pixels).image


def _open(content: bytes) -> Image.Image:
    if not content:
        raise NotAnImage("the image is empty (0 bytes): send the bytes of an image file")
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


def _verify_crcs(content: bytes) -> None:
    """Verify the CRCs of a PNG's chunks; Pillow skips those of the pixels.

    Raises
    ------
    ValueError
        A CRC is wrong.
    struct.error
        The file ends before its last chunk does.
    """
    at, kind = _PNG_SIGNATURE_BYTES, b""
    while kind != b"IEND":
        n_bytes, kind = struct.unpack_from(">I4s", content, at)
        end = at + 8 + n_bytes
        (declared,) = struct.unpack_from(">I", content, end)
        if zlib.crc32(memoryview(content)[at + 4 : end]) != declared:
            raise ValueError(f"the sum of a chunk {kind!r} is wrong")
        at = end + 4


def _scale_transparent_color(image: Image.Image) -> None:
    """Scale the transparent colour of a PNG to the 8 bits of the decoded pixels."""
    if not isinstance(image, PngImageFile) or not image.tile:
        return
    key = image.info.get("transparency")
    factor = _KEY_FACTORS.get(str(image.tile[0].args))
    if factor and isinstance(key, int):
        image.info["transparency"] = int(key * factor)
    elif factor and isinstance(key, tuple):
        image.info["transparency"] = tuple(int(value * factor) for value in key)


def _upright(image: Image.Image) -> tuple[Image.Image, bool]:
    """Apply the EXIF orientation; also returns whether rows became columns."""
    try:
        is_turned = image.getexif().get(ExifTags.Base.Orientation) in _TURNED
        return ImageOps.exif_transpose(image), is_turned
    except Exception:  # noqa: BLE001  a damaged EXIF block is no reason to refuse good pixels
        return image, False


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
