"""Image files for tests: encoded by Pillow, or written byte by byte where Pillow cannot."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.uint8]
PNG_GREY, PNG_RGB, PNG_PALETTE, PNG_GREY_ALPHA, PNG_RGB_ALPHA = 0, 2, 3, 4, 6
ORIENTATION = 0x0112


def encode(picture: Image.Image, file_format: str, **options: Any) -> bytes:
    """A picture as a file."""
    buffer = io.BytesIO()
    picture.save(buffer, file_format, **options)
    return buffer.getvalue()


def noise(height: int, width: int, *channels: int, seed: int = 0) -> Array:
    """Random bytes: a shift, a flip or a swap of channels shows in every pixel."""
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (height, width, *channels), dtype=np.uint8)


def smooth_photo(height: int, width: int) -> Image.Image:
    """A picture with soft gradients, which lossy formats keep well."""
    x, y = np.linspace(0, 1, width), np.linspace(0, 1, height)[:, None]
    red, green, blue = 40 + 180 * x + 0 * y, 60 + 150 * y + 0 * x, 200 - 120 * x * y
    return Image.fromarray(np.rint(np.dstack([red, green, blue])).astype(np.uint8))


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG, with its checksum."""
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def raw_png(
    size: tuple[int, int], depth: int, color: int, rows: Sequence[bytes], *extra: bytes
) -> bytes:
    """A PNG of (width, height), of packed rows as they stand in the file."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, color, 0, 0, 0))
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    signature = b"\x89PNG\r\n\x1a\n"
    return b"".join([signature, header, *extra, chunk(b"IDAT", pixels), chunk(b"IEND", b"")])


def words(values: Iterable[int]) -> bytes:
    """Numbers as big-endian 16-bit words."""
    return b"".join(struct.pack(">H", value) for value in values)


def with_orientation(orientation: int) -> Image.Exif:
    """An EXIF block that says how to turn the picture."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif
