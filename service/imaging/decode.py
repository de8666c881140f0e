"""Decoding of an image file into an upright sRGB image on white."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from service.errors import OutOfMemory, ServiceError, UnsupportedMediaType
from service.imaging.color import to_srgb
from service.imaging.formats import FORMATS, broken, unreadable
from service.imaging.header import Header, read_header
from service.imaging.jpeg import verify_jpeg
from service.imaging.orientation import TURNED, Extent, orientation, upright, upright_extent
from service.imaging.png_chunks import SIGNATURE, PngChunks, read_png
from service.imaging.profiles import color_profile, png_profile
from service.imaging.strips import in_strips
from service.imaging.tiff import (
    TiffFile,
    correct_palette,
    describe,
    read_tiff,
    unread_compression,
)

_TIFF_STARTS = (b"II*\0", b"II+\0", b"MM\0*", b"MM\0+")
_MODES_16_BIT = ("I;16", "I;16L", "I;16B", "I;16N")
# Pillow widens or narrows the samples of these PNGs to 8 bits, but not their transparent colour
_KEY_FACTORS = {"L;2": 85.0, "L;4": 17.0, "RGB;16B": 1 / 256}

# Pillow's own guard warns, or raises, at numbers of its own; `decode` checks the limit that the
# operator has set, before Pillow sees the file.
Image.MAX_IMAGE_PIXELS = None
# A file can make thousands of warnings, each of which would be written to the log and remembered.
warnings.filterwarnings("ignore", module=r"PIL\.")


@dataclass(frozen=True)
class Decoded:
    """A decoded image, perhaps at a reduced size.

    Attributes
    ----------
    image : Image.Image
        Upright, mode RGB, in sRGB.
    original : tuple of 2 int
        Height and width of the upright image at its full size, in pixels.
    extent : tuple of 4 float
        The part of `image` that `original` fills: left, top, right, bottom. A reduced JPEG may have
        a last column or row that is filled in part only.
    """

    image: Image.Image
    original: tuple[int, int]
    extent: Extent

    @classmethod
    def whole(cls, image: Image.Image) -> Decoded:
        """An image at its full size."""
        return cls(image, (image.height, image.width), (0, 0, image.width, image.height))


@dataclass(frozen=True)
class _Opened:
    """A file whose header is read."""

    image: Image.Image
    png: PngChunks | None = None
    tiff: TiffFile | None = None


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
    def header(self) -> Header:
        """The size of the image, and what is known of its cost.

        Raises
        ------
        NotAnImage, TooLarge, UnsupportedMediaType
            As `decode` does.
        """
        return read_header(self.content)

    def decode(self, max_pixels: int, side: int | None = None) -> Decoded:
        """Decode the image; can be called once.

        The image is converted to sRGB by its colour profile. Grey, palette, 16-bit, CMYK and
        transparent images become RGB (transparency is composited on white), an animation is reduced
        to its first frame, and the EXIF orientation is applied.

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
            It has more than `max_pixels` pixels, a side that is too long, or too many parts.
        UnsupportedMediaType
            Its format, or something about it, is not supported.
        OutOfMemory
            There is not enough memory to decode it.
        """
        self.header.check(max_pixels)
        opened = _open(self.content)
        width, height = opened.image.size
        if width * height > self.header.n_pixels:
            raise broken(opened.image.format or "an image")
        try:
            return self._decode(opened, side)
        except ServiceError:
            raise
        except MemoryError as error:
            raise out_of_memory() from error
        except Exception as error:  # decoders raise anything when fed hostile bytes
            if "out of memory" in str(error).lower():  # says libavif
                raise out_of_memory() from error
            compression = opened.tiff and unread_compression(opened.tiff.page)
            if compression:
                raise unreadable(self.content, compression) from error
            raise broken(opened.image.format or "an image") from error

    def _decode(self, opened: _Opened, side: int | None) -> Decoded:
        image = opened.image
        width, height = image.size
        profile = png_profile(opened.png) if opened.png else color_profile(image, self.content)
        # TIFFs are turned by Pillow, while they are decoded
        exif = opened.png.exif if opened.png else image.info.get("exif")
        value = 1 if opened.tiff else orientation(exif)
        extent: tuple[float, float] = (width, height)
        if isinstance(image, JpegImageFile):
            verify_jpeg(self.content)
            if side is not None:
                draft = image.draft(None, (2 * side, 2 * side))
                extent = draft[1][2:] if draft else extent
        _scale_transparent_color(image)
        image.load()
        rgb = upright(to_srgb(_to_8_bits(image, opened.tiff), profile), value)
        original = (width, height) if value in TURNED else (height, width)
        return Decoded(rgb, original, upright_extent(extent, image.size, value))


def decode(content: bytes, max_pixels: int) -> Image.Image:
    """Decode an image file at its full size, as `EncodedImage.decode` does."""
    return EncodedImage(content).decode(max_pixels).image


def _open(content: bytes) -> _Opened:
    tiff = png = None
    try:
        if content.startswith(SIGNATURE):
            png = read_png(content)
        elif content.startswith(_TIFF_STARTS):
            tiff = read_tiff(content)
        readable = png or tiff
        image = Image.open(io.BytesIO(readable.content if readable else content), formats=FORMATS)
        # neither browsers nor the Metadata Working Group turn an image by its XMP
        image.info.pop("xmp", None)
        correct_palette(image)
    except ServiceError:
        raise
    except MemoryError as error:
        raise out_of_memory() from error
    except Exception as error:  # as above
        raise unreadable(content, describe(tiff.page) if tiff else None) from error
    return _Opened(image, png, tiff)


def out_of_memory() -> OutOfMemory:
    """The error for an image that does not fit into memory."""
    return OutOfMemory(
        "there is not enough memory to decode the image; send one with fewer pixels, or as a JPEG"
    )


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


def _to_8_bits(image: Image.Image, tiff: TiffFile | None) -> Image.Image:
    """The image with 8 bits per channel."""
    if image.mode in ("I", "F"):
        raise UnsupportedMediaType("32 bits per channel are not read; convert it to an 8-bit PNG")
    if image.mode not in _MODES_16_BIT:
        return image
    return in_strips(image, "L", partial(_upper_byte, tiff=tiff))


def _upper_byte(image: Image.Image, tiff: TiffFile | None) -> Image.Image:
    """The 8-bit levels of an image with 16 bits; Pillow clips when it converts."""
    n_bits = tiff.page.n_bits if tiff else 16
    values = np.asarray(image.convert("I"))
    grey = (values >> (n_bits - 8)).astype(np.uint8)
    if tiff and tiff.is_inverted:
        grey = 255 - grey
    grey[values == image.info.get("transparency", -1)] = 255
    return Image.fromarray(grey)
