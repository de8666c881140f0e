"""Chunks of a PNG file (PNG, third edition, W3C), read as browsers read them.

A critical chunk with a wrong CRC is an error, an ancillary one is ignored. Pillow gets the critical
chunks and the transparent colour only: it would refuse an image for a damaged text, and decompress
texts that nobody reads.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

from service.errors import TooLarge

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_FOR_PILLOW = b"tRNS"
_ANCILLARY_BIT = 0x20
_TEXTS = (b"tEXt", b"zTXt")
_RAW_EXIF = (b"Raw profile type exif", b"Raw profile type APP1")  # as ImageMagick writes it
_MAX_PROFILE_BYTES = 4 << 20
_MAX_TEXT_BYTES = 1 << 17
_MAX_KEYWORD = 80
_MAX_CHUNKS = 20_000  # a PNG of 10 MB has 1,200 of the usual 8 KiB


@dataclass(frozen=True)
class PngChunks:
    """A PNG and what its ancillary chunks say.

    Attributes
    ----------
    content : bytes
        A PNG of the chunks that Pillow needs.
    ancillary : dict of bytes to bytes
        The first intact chunk of each other kind, but texts.
    raw_exif : bytes or None
        EXIF of a text in the form of ImageMagick.
    """

    content: bytes
    ancillary: dict[bytes, bytes] = field(default_factory=dict)
    raw_exif: bytes | None = None

    @property
    def exif(self) -> bytes | None:
        """EXIF data."""
        return self.ancillary.get(b"eXIf", self.raw_exif)

    @property
    def icc_profile(self) -> bytes | None:
        """The embedded ICC profile; None if there is none, or if it is damaged."""
        _, _, compressed = self.ancillary.get(b"iCCP", b"").partition(b"\0")
        return _decompress(compressed, _MAX_PROFILE_BYTES) if compressed else None


def read_png(content: bytes) -> PngChunks:
    """Verify and sort the chunks of a PNG.

    Raises
    ------
    ValueError
        The CRC of a critical chunk is wrong.
    struct.error
        The file ends before its last chunk does.
    TooLarge
        It has too many chunks.
    """
    view = memoryview(content)
    kept = [view[: len(SIGNATURE)]]
    ancillary: dict[bytes, bytes] = {}
    raw_exifs: dict[bytes, bytes | None] = {}
    at, kind, is_complete, n_chunks = len(SIGNATURE), b"", True, 0
    while kind != b"IEND":
        n_chunks += 1
        if n_chunks > _MAX_CHUNKS:
            raise TooLarge(f"the PNG has more than {_MAX_CHUNKS} chunks; save it anew")
        n_bytes, kind = struct.unpack_from(">I4s", content, at)
        end = at + 8 + n_bytes
        (declared,) = struct.unpack_from(">I", content, end)
        is_intact = zlib.crc32(view[at + 4 : end]) == declared
        is_ancillary = bool(kind[0] & _ANCILLARY_BIT)
        if not is_intact and not is_ancillary:
            raise ValueError(f"the CRC of a chunk {kind!r} is wrong")
        if not is_ancillary or (kind == _FOR_PILLOW and is_intact):
            kept.append(view[at : end + 4])
        else:
            is_complete = False
            if is_intact and kind in _TEXTS:
                keyword = content[at + 8 : min(end, at + 8 + _MAX_KEYWORD)].partition(b"\0")[0]
                if keyword in _RAW_EXIF and keyword not in raw_exifs:
                    raw_exifs[keyword] = _raw_exif(kind, content[at + 8 : end])
            elif is_intact:
                ancillary.setdefault(kind, content[at + 8 : end])
        at = end + 4
    raw_exif = next((exif for exif in raw_exifs.values() if exif), None)
    return PngChunks(content if is_complete else b"".join(kept), ancillary, raw_exif)


def _raw_exif(kind: bytes, text: bytes) -> bytes | None:
    """EXIF in a text of ImageMagick: a name, a number of bytes, and the bytes in hexadecimal."""
    _, _, value = text.partition(b"\0")
    if kind == b"zTXt":
        value = _decompress(value, _MAX_TEXT_BYTES) or b""
    try:
        return bytes.fromhex(b"".join(value.split(b"\n")[3:]).decode("ascii"))
    except ValueError:
        return None


def _decompress(compressed: bytes, max_bytes: int) -> bytes | None:
    """Decompress what follows the byte of a method; None if it is damaged or too long."""
    if compressed[:1] != b"\0":
        return None
    decompressor = zlib.decompressobj()
    try:
        content = decompressor.decompress(compressed[1:], max_bytes)
    except zlib.error:
        return None
    return content if decompressor.eof else None
