"""What the header of an image file says, read without a decoder.

Decoders allocate memory, and some decode a frame, before they say how large an image is. So its
size is read here and checked first. Each reader takes a bounded number of steps.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from service.errors import NotAnImage, ServiceError, TooLarge
from service.imaging.formats import HAS_AVIF, broken, format_of, unreadable
from service.imaging.tiff import decoded_size

MAX_SIDE = 65_535  # pixels; what JPEG can say. Each row takes memory of its own
_MAX_SEGMENTS = 2_000  # of a JPEG before its first scan
_MAX_FILL = 1 << 16  # bytes of a JPEG between its segments, which Pillow skips one by one
_MAX_BLOCKS = 20_000  # of a GIF before its first frame
_MAX_SUB_BLOCKS = 50_000  # of these; 12 MB if they are full
_MAX_BOXES = 1_000  # of an AVIF that give a size
_JPEG_MARKER = re.compile(rb"\xff([\x01-\xfe])")
_JPEG_FRAMES = frozenset((*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), 0xCD, 0xCE))
_JPEG_STANDALONE = frozenset((0x01, *range(0xD0, 0xD9)))
_JPEG_SCAN, _JPEG_LOSSLESS = 0xDA, (0xC3, 0xC7, 0xCB, 0xCF)
_BMP_RLE = (1, 2)
_RLE_PASSES = 64  # its decoder is written in Python
# what takes long to read: compressed texts, and ICC profiles (their signature)
_SLOW_PARTS = (b"iCCP", b"zTXt", b"acsp")


@dataclass(frozen=True)
class Header:
    """What is known of an image before it is decoded.

    Attributes
    ----------
    width, height : int
        Of the stored image, in pixels.
    n_passes : int
        How often the decoder may go over the pixels: the scans of a progressive JPEG.
    is_slow : bool
        Whether the time of decoding is not bounded by the number of pixels.
    """

    width: int
    height: int
    n_passes: int = 1
    is_slow: bool = False

    @property
    def n_pixels(self) -> int:
        """Number of pixels."""
        return self.width * self.height

    def check(self, max_pixels: int) -> None:
        """Refuse an image that is too large.

        Raises
        ------
        TooLarge
            It has more than `max_pixels` pixels, or a side of more than `MAX_SIDE`.
        """
        size = f"the image has {self.width} x {self.height}"
        if self.n_pixels > max_pixels:
            raise TooLarge(
                f"{size} = {self.n_pixels} pixels; "
                f"at most {max_pixels} are accepted: send a smaller one"
            )
        if max(self.width, self.height) > MAX_SIDE:
            raise TooLarge(f"{size} pixels; a side may have {MAX_SIDE}: send a part of it")


def read_header(content: bytes) -> Header:
    """Read the header of an image file.

    Raises
    ------
    NotAnImage, UnsupportedMediaType
        The file is in no format that is read, or its header is damaged.
    TooLarge
        The header has too many parts.
    """
    if not content:
        raise NotAnImage("the image is empty (0 bytes): send the bytes of an image file")
    # decoders take more for a BMP than those that are certain to be one
    name = format_of(content) or ("BMP" if content.startswith(b"BM") else "")
    reader = _READERS.get(name)
    if reader is None or (name == "AVIF" and not HAS_AVIF):
        raise unreadable(content)
    try:
        header = reader(content)
    except ServiceError:
        raise
    except (struct.error, IndexError, ValueError) as error:
        raise unreadable(content) from error
    if not header.n_pixels:
        raise broken(name)
    return header


def _read_png(content: bytes) -> Header:
    width, height = struct.unpack_from(">II", content, 16)
    return Header(width, height, is_slow=_has_slow_part(content))


def _read_jpeg(content: bytes) -> Header:
    """Read the frame header, before the first scan."""
    at, width, height, n_fill = 2, 0, 0, 0
    for _ in range(_MAX_SEGMENTS):
        marker = _JPEG_MARKER.search(content, at)
        if marker is None:
            raise ValueError("the JPEG has no scan")
        n_fill += marker.start() - at
        if n_fill > _MAX_FILL:
            raise TooLarge("the JPEG has too many bytes between its segments; save it anew")
        at, code = marker.end(), marker[1][0]
        if code in _JPEG_STANDALONE:
            continue
        if code in _JPEG_LOSSLESS:
            raise unreadable(content)
        if code in _JPEG_FRAMES:
            sides = struct.unpack_from(">HH", content, at + 3)
            height, width = max(height, sides[0]), max(width, sides[1])
        if code == _JPEG_SCAN:
            n_scans = content.count(b"\xff\xda")  # at most: a segment may contain the bytes, too
            return Header(width, height, n_scans, _has_slow_part(content))
        at += int.from_bytes(content[at : at + 2], "big")
    raise TooLarge(f"the JPEG has more than {_MAX_SEGMENTS} segments; save it anew without them")


def _read_webp(content: bytes) -> Header:
    kind = content[12:16]
    if kind == b"VP8X":
        sides = (1 + int.from_bytes(content[at : at + 3], "little") for at in (24, 27))
        width, height = sides
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", content, 26))
    return Header(width, height, is_slow=_has_slow_part(content))


def _read_gif(content: bytes) -> Header:
    """Read the screen and the first frame, which may be larger."""
    width, height, flags = struct.unpack_from("<HHB", content, 6)
    at, n_sub_blocks = 13 + _palette_bytes(flags), 0
    for _ in range(_MAX_BLOCKS):
        kind = content[at]
        if kind == 0x2C:  # a frame
            left, top, frame_width, frame_height = struct.unpack_from("<4H", content, at + 1)
            return Header(max(width, left + frame_width), max(height, top + frame_height))
        if kind == 0x3B:
            raise ValueError("the GIF has no frame")
        if kind != 0x21:  # decoders skip what is between the blocks
            at += 1
            continue
        at += 2
        while n_bytes := content[at]:
            at += 1 + n_bytes
            n_sub_blocks += 1
            if n_sub_blocks > _MAX_SUB_BLOCKS:
                raise TooLarge("the GIF has too long comments; save it anew without them")
        at += 1
    raise TooLarge(f"the GIF has more than {_MAX_BLOCKS} blocks before its first frame")


def _palette_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _read_bmp(content: bytes) -> Header:
    (n_bytes,) = struct.unpack_from("<I", content, 14)
    if n_bytes == 12:
        return Header(*struct.unpack_from("<HH", content, 18))
    width, height, _, _, compression = struct.unpack_from("<IiHHI", content, 18)
    is_rle = compression in _BMP_RLE  # may go to the next row, or nowhere, as often as it likes
    n_passes = _RLE_PASSES if is_rle else 1
    return Header(width, abs(height), n_passes, is_rle or _has_slow_part(content))


def _read_tiff(content: bytes) -> Header:
    # libtiff reads more of the file than the directory of its first page
    width, height = decoded_size(content)
    return Header(width, height, is_slow=True)


def _read_avif(content: bytes) -> Header:
    """Read the boxes that give a size (ISO/IEC 23008-12, `ispe`): the largest is the image's."""
    boxes = islice(re.finditer(rb"ispe", content[: 1 << 20]), _MAX_BOXES)
    sides = [struct.unpack_from(">II", content, box.end() + 4) for box in boxes]
    if not sides:
        raise ValueError("the AVIF does not say how large it is")
    # the frame that is coded may be larger than the box says
    width, height = max(sides, key=lambda side: side[0] * side[1])
    return Header(width, height, is_slow=True)


def _has_slow_part(content: bytes) -> bool:
    return any(part in content for part in _SLOW_PARTS)


_READERS: dict[str, Callable[[bytes], Header]] = {
    "PNG": _read_png,
    "JPEG": _read_jpeg,
    "WebP": _read_webp,
    "GIF": _read_gif,
    "BMP": _read_bmp,
    "TIFF": _read_tiff,
    "AVIF": _read_avif,
}
