"""Bytes of a connection that were received, but not parsed yet.

The parser cannot stop in the middle of the bytes that it is given. So it is given pieces that end
where a request may end, and what follows waits here for the response to that request.
"""

from __future__ import annotations

_END_OF_HEAD = b"\r\n\r\n"


class Unparsed:
    """A buffer from which pieces are taken. It is false when it is empty."""

    def __init__(self) -> None:
        self._data, self._at = b"", 0

    def __len__(self) -> int:
        return len(self._data) - self._at

    def add(self, data: bytes) -> None:
        """Add what was received."""
        self._data, self._at = (self._data[self._at :] + data if self else data), 0

    def clear(self) -> None:
        """Drop everything."""
        self._data, self._at = b"", 0

    def take(self, n_bytes: int) -> memoryview:
        """Take at most `n_bytes`."""
        piece = memoryview(self._data)[self._at : self._at + n_bytes]
        self._at += len(piece)
        if self._at == len(self._data):
            self.clear()
        return piece

    def take_head(self, max_bytes: int) -> memoryview:
        """Take everything up to the end of a head, but at most `max_bytes`."""
        end = self._data.find(_END_OF_HEAD, self._at, self._at + max_bytes)
        return self.take(max_bytes if end < 0 else end + len(_END_OF_HEAD) - self._at)
