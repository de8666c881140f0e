"""PNG writers (PNG, third edition, W3C): maps, enlarged to squares of colour, and RGB pictures.

Repeated rows of a map use the filter Up: they become zeros, which compress to almost nothing. So
most of an enlarged map costs neither time nor bytes. Pictures use it for all rows: most are
enlarged, and to search for the best filter of each row takes longer than to compress it.
"""

from __future__ import annotations

import struct
import zlib
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGB, _PALETTE = 2, 3  # colour types
_UNFILTERED, _UP = 0, 2  # filters of a row: none, or the difference from the row above


def palette_png(indices: NDArray[np.uint8], size: tuple[int, int], palette: bytes) -> bytes:
    """Encode a map as a PNG of another size, with nearest-neighbour resampling.

    Parameters
    ----------
    indices : NDArray[uint8]
        Indices into the palette, shape (H, W).
    size : tuple of 2 int
        Width and height of the picture, in pixels.
    palette : bytes
        RGB, one byte each, of up to 256 colours.
    """
    width, height = size
    rows, columns = _nearest(indices.shape[0], height), _nearest(indices.shape[1], width)
    is_new = np.diff(rows, prepend=-1) != 0
    lines = np.zeros((height, 1 + width), np.uint8)
    lines[:, 0] = np.where(is_new, _UNFILTERED, _UP)
    lines[is_new, 1:] = indices[rows[is_new]][:, columns]
    # run lengths only: twice as fast as the default, and smaller on squares of colour
    return _file(_PALETTE, size, _palette_chunk(palette), _compress(lines, zlib.Z_RLE))


def rgb_png(picture: NDArray[np.uint8]) -> bytes:
    """Encode a picture of shape (H, W, 3)."""
    height, width = picture.shape[:2]
    rows = np.ascontiguousarray(picture).reshape(height, 3 * width)
    lines = np.empty((height, 1 + 3 * width), np.uint8)
    lines[:, 0] = _UP
    lines[0, 1:] = rows[0]  # above it there is nothing but zeros
    np.subtract(rows[1:], rows[:-1], out=lines[1:, 1:])
    return _file(_RGB, (width, height), _compress(lines, zlib.Z_DEFAULT_STRATEGY))


def enlarge_nearest(indices: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Nearest-neighbour resampling as in `palette_png`, to shape (height, width)."""
    width, height = size
    rows, columns = _nearest(indices.shape[0], height), _nearest(indices.shape[1], width)
    return indices[rows][:, columns]


@lru_cache(maxsize=64)
def _nearest(n: int, n_pixels: int) -> NDArray[np.int64]:
    """For each of `n_pixels` pixels, the index of the map's pixel under its centre."""
    indices = (2 * np.arange(n_pixels) + 1) * n // (2 * n_pixels)
    indices.setflags(write=False)
    return indices


def _file(color_type: int, size: tuple[int, int], *content: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", *size, 8, color_type, 0, 0, 0)
    return b"".join((_SIGNATURE, _chunk(b"IHDR", header), *content, _chunk(b"IEND", b"")))


def _compress(lines: NDArray[np.uint8], strategy: int) -> bytes:
    compressor = zlib.compressobj(level=1, strategy=strategy)  # hardly larger than the default
    return _chunk(b"IDAT", compressor.compress(lines.data) + compressor.flush())


@cache
def _palette_chunk(palette: bytes) -> bytes:
    return _chunk(b"PLTE", palette)


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(content, zlib.crc32(kind))
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
