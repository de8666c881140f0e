"""Image files that cost far more to decode than to send."""

from __future__ import annotations

import struct
import zlib

from PIL import Image

from tests.helpers.pictures import PNG_RGB_ALPHA, chunk, encode, raw_png

_SIGNATURE_AND_HEADER = 33  # bytes of a PNG


def black_png(width: int, height: int) -> bytes:
    """A PNG of 16-bit RGBA, of a few hundred kilobytes for any size."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, PNG_RGB_ALPHA, 0, 0, 0))
    compressor = zlib.compressobj(1)
    row = bytes(1 + 8 * width)
    pixels = b"".join(compressor.compress(row) for _ in range(height)) + compressor.flush()
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def gif_with_huge_screen() -> bytes:
    """A GIF of 43 bytes that says to clear 65,535 x 65,535 pixels behind its frame."""
    side = 65_535
    screen = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + bytes(6)
    control = b"!\xf9\x04\x08\0\0\0\0"
    return screen + control + b"," + struct.pack("<4HB", 0, 0, side, side, 0) + b"\2\2\x44\1\0;"


def jpeg_of_many_scans(side: int, n_scans: int) -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    content = encode(Image.new("RGB", (side, side)), "JPEG", progressive=True)
    scan = content[content.rfind(b"\xff\xda") : -2]
    return content[:-2] + scan * n_scans + b"\xff\xd9"


def jpeg_of_many_segments(n: int) -> bytes:
    """A JPEG with pieces of EXIF data, which decoders append one to another."""
    content = encode(Image.new("RGB", (16, 16)), "JPEG")
    return content[:2] + b"\xff\xe1\0\x0aExif\0\0aa" * n + content[2:]


def png_of_many_texts(n: int) -> bytes:
    """A PNG with compressed texts that are said to hold EXIF data."""
    text = chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\n" * 131_000))
    return raw_png((16, 16), 8, 0, [bytes(16)] * 16, *[text] * n)


def tiff_whose_tags_overlap(n_tags: int, n_bytes: int) -> bytes:
    """A TIFF whose tags all have the same megabytes as their values."""
    entries = [struct.pack("<HHII", tag, 4, 1, 16) for tag in (256, 257)]
    entries += [struct.pack("<HHII", 40_000 + n, 1, n_bytes, 8) for n in range(n_tags)]
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8) + directory + bytes(n_bytes)


def jpeg_of_many_fill_bytes(n: int) -> bytes:
    """A JPEG with bytes between its segments that mean nothing."""
    content = encode(Image.new("RGB", (16, 16)), "JPEG")
    return content[:2] + b"\xff" * n + content[2:]


def jpeg_of_many_warnings(n: int) -> bytes:
    """A JPEG whose EXIF data have tags of which Pillow warns one by one."""
    entries = b"".join(struct.pack(">HHII", 40_000 + i, 7, 60_000, 8) for i in range(n))
    exif = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", n) + entries + bytes(4)
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    content = encode(Image.new("RGB", (16, 16)), "JPEG")
    return content[:2] + segment + content[2:]


def gif_of_many_sub_blocks(n: int) -> bytes:
    """A GIF with a comment in pieces of one byte."""
    content = encode(Image.new("P", (16, 16)), "GIF")
    frame = content.index(b",")
    return content[:frame] + b"!\xfe" + b"\x01a" * n + b"\0" + content[frame:]


def png_of_many_chunks(n: int) -> bytes:
    """A PNG with empty texts."""
    return raw_png((16, 16), 8, 0, [bytes(16)] * 16, *[chunk(b"tEXt", b"")] * n)


def bmp_that_goes_nowhere(n: int) -> bytes:
    """A BMP in run lengths, most of which say to move by no pixel at all."""
    sizes = struct.pack("<IHHI", 54, 0, 0, 54)
    header = struct.pack("<IiiHHIIiiII", 40, 16, 16, 1, 8, 1, 4 * n, 0, 0, 0, 0)
    return b"BM" + sizes + header + b"\0\2\0\0" * n
