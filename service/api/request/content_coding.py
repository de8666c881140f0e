"""`Content-Encoding` of requests: gzip and deflate, decoded while the body is received.

The contract:

- No coding makes a body larger than the limit of bytes, also not between two codings.
- The event loop decodes at most `PIECE_BYTES` at a time, and serves other requests in between.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence

from service.errors import BrokenRequest, UnsupportedMediaType, body_too_large
from service.text import shorten

PIECE_BYTES = 1 << 16  # takes about 0.3 ms
_MAX_CODINGS = 3
_MAX_MEMBERS = 1_000  # of a gzip file; each takes longer than its bytes
_INPUT_BYTES = 1 << 14  # at a time: zlib copies what a piece leaves over
_ACCEPTED = "gzip, deflate, identity"
_NAMES = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS  # formats of zlib


def parse_codings(headers: Sequence[str]) -> tuple[str, ...]:
    """Parse the values of `Content-Encoding`: the codings in the order of their application.

    Raises
    ------
    UnsupportedMediaType
        A coding is not supported, or there are too many.
    """
    names = [name.strip().lower() for value in headers for name in value.split(",")]
    names = [name for name in names if name not in ("", "identity")]
    unknown = [name for name in names if name not in _NAMES]
    if unknown or len(names) > _MAX_CODINGS:
        what = f"`Content-Encoding: {shorten(unknown[0])}`" if unknown else "so many codings"
        raise UnsupportedMediaType(
            f"{what} cannot be decoded; send the body as it is, or with one of: {_ACCEPTED}",
            headers={"Accept-Encoding": _ACCEPTED},
        )
    return tuple(_NAMES[name] for name in names)


def decode(
    stream: AsyncGenerator[bytes, None], codings: Sequence[str], max_bytes: int
) -> AsyncGenerator[bytes, None]:
    """Undo the codings of a body.

    Parameters
    ----------
    stream : async generator of bytes
        The body as it is received.
    codings : sequence of str
        As `parse_codings` returns them.
    max_bytes : int
        Limit of the decoded bytes.

    Raises
    ------
    BrokenRequest
        The body is not of the coding, or is cut off.
    TooLarge
        There are more bytes.
    """
    for coding in reversed(codings):
        stream = _limit(_decode_one(stream, coding), max_bytes)
    return stream


async def _decode_one(stream: AsyncIterator[bytes], coding: str) -> AsyncGenerator[bytes, None]:
    decoder = _Decoder(coding)
    try:
        async for received in stream:
            for at in range(0, len(received), _INPUT_BYTES):
                for piece in decoder.decode(received[at : at + _INPUT_BYTES]):
                    yield piece
                    await asyncio.sleep(0)
    except zlib.error as error:
        raise BrokenRequest(
            f"the body is not valid {coding}, which its `Content-Encoding` says; compress it anew, "
            "or leave the header out"
        ) from error
    if decoder.is_inside:
        raise BrokenRequest(f"the body ends in the middle of its {coding}; send all of it")


async def _limit(stream: AsyncIterator[bytes], max_bytes: int) -> AsyncGenerator[bytes, None]:
    total = 0
    async for piece in stream:
        total += len(piece)
        if total > max_bytes:
            raise body_too_large(max_bytes)
        yield piece


class _Decoder:
    """Decodes one coding incrementally."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._stream: zlib._Decompress | None = None  # None before the first byte
        self._has_ended, self._n_members = False, 0

    @property
    def is_inside(self) -> bool:
        """Whether more bytes have to come."""
        return self._stream is not None and not self._has_ended

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Decode more of the body, in pieces of at most `PIECE_BYTES`."""
        is_full = False
        while data or is_full:
            stream = self._stream_of(data)
            if stream is None:
                return
            piece = stream.decompress(data, PIECE_BYTES)
            yield piece
            is_full = len(piece) == PIECE_BYTES and not stream.eof
            self._has_ended = stream.eof
            data = stream.unused_data if stream.eof else stream.unconsumed_tail

    def _stream_of(self, data: bytes) -> zlib._Decompress | None:
        """The stream that goes on with these bytes; None for the zeros that may follow gzip."""
        if self.is_inside:
            return self._stream
        if self._has_ended and self._coding == "gzip" and not data.strip(b"\0"):
            return None
        if self._has_ended and self._coding != "gzip":
            raise zlib.error("bytes after the end")
        self._n_members += 1
        if self._n_members > _MAX_MEMBERS:
            raise BrokenRequest(
                f"the gzip of the body has more than {_MAX_MEMBERS} members; compress it as one"
            )
        self._stream, self._has_ended = zlib.decompressobj(self._format_of(data)), False
        return self._stream  # the first, or of another member of a gzip file

    def _format_of(self, data: bytes) -> int:
        if self._coding == "gzip":
            return _GZIP
        # RFC 9110 has deflate with the header of zlib (RFC 1950), but many leave it out
        return _ZLIB if data[0] & 0x0F == zlib.DEFLATED else _RAW
