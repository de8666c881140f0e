"""Write maps as palette PNGs, enlarged to squares of colour (PNG, third edition, W3C).

A row that equals the one above it is written as its difference from that: zeros, of which the
compression makes almost nothing. So most of an enlarged map costs neither time nor bytes.
"""

from __future__ import annotations

import struct
import zlib
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PALETTE = 3  # the colour type
_UNFILTERED, _UP = 0, 2  # how a row is written: as it is, or as the difference from the one above


def palette_png(indices: NDArray[np.uint8], size: tuple[int, int], palette: bytes) -> bytes:
    """Write a map as a PNG of another size, by nearest neighbours.

    Parameters
    ----------
    indices : NDArray[uint8]
        Into the palette, shape (H, W).
    size : tuple of 2 int
        Width and height of the picture, in pixels.
    palette : bytes
        RGB, one byte each, of up to 256 colours.
    """
    width, height = size
    header = struct.pack(">IIBBBBB", width, height, 8, _PALETTE, 0, 0, 0)
    rows, columns = _nearest(indices.shape[0], height), _nearest(indices.shape[1], width)
    is_new = np.diff(rows, prepend=-1) != 0
    lines = np.zeros((height, 1 + width), np.uint8)
    lines[:, 0] = np.where(is_new, _UNFILTERED, _UP)
    lines[is_new, 1:] = indices[rows[is_new]][:, columns]
    return b"".join(
        (
            _SIGNATURE,
            _chunk(b"IHDR", header),
            _palette_chunk(palette),
            _chunk(b"IDAT", _compress(lines)),
            _chunk(b"IEND", b""),
        )
    )


def enlarge_nearest(indices: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The pixels that `palette_png` writes, shape (height, width)."""
    width, height = size
    rows, columns = _nearest(indices.shape[0], height), _nearest(indices.shape[1], width)
    return indices[rows][:, columns]


@lru_cache(maxsize=64)
def _nearest(n: int, n_pixels: int) -> NDArray[np.int64]:
    """For each pixel, the index of what its centre lies in."""
    found = (2 * np.arange(n_pixels) + 1) * n // (2 * n_pixels)
    found.setflags(write=False)
    return found


def _compress(lines: NDArray[np.uint8]) -> bytes:
    # of runs only: twice as fast as to look for anything else, and smaller on squares of colour
    compressor = zlib.compressobj(level=1, strategy=zlib.Z_RLE)
    return compressor.compress(lines.data) + compressor.flush()


@cache
def _palette_chunk(palette: bytes) -> bytes:
    return _chunk(b"PLTE", palette)


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(content, zlib.crc32(kind))
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
