"""httptools' request parser, for a server that ignores every `Upgrade` (RFC 9110, section 7.8).

At the end of a head that offers an upgrade httptools pauses, and takes what follows for the other
protocol: the body would be lost. So such a head is parsed a second time, without its `Upgrade`,
and what follows is parsed as the body of the request.
"""

from __future__ import annotations

from typing import Any, Protocol

import httptools

_TUNNEL = b"CONNECT"  # always an upgrade, with or without the header


class Callbacks(Protocol):
    """The receiver of a parser's callbacks, with the head of the request as far as it came."""

    url: bytes
    headers: list[tuple[bytes, bytes]]


class RequestParser:
    """Parses the requests of a connection. Its receiver skips those that offer an upgrade.

    Everything else is httptools' own.

    Parameters
    ----------
    callbacks : Callbacks
        Its `on_headers_complete` and `on_message_complete` return at once if `offers_upgrade`.
    """

    def __init__(self, callbacks: Callbacks) -> None:
        self._callbacks = callbacks
        self._parser = _make_parser(callbacks)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)

    @property
    def offers_upgrade(self) -> bool:
        """Whether the head that was parsed last offers an upgrade, and is parsed again."""
        return bool(self._parser.should_upgrade()) and self._parser.get_method() != _TUNNEL

    def feed_data(self, data: bytes) -> None:
        """Parse bytes of the connection."""
        view = memoryview(data)
        while True:
            try:
                self._parser.feed_data(view)
            except httptools.HttpParserUpgrade as upgrade:
                if not self.offers_upgrade:
                    raise
                head = self._head_without_upgrade()
                self._parser = _make_parser(self._callbacks)
                self._parser.feed_data(head)
                view = view[upgrade.args[0] :]
            else:
                return

    def _head_without_upgrade(self) -> bytes:
        version = self._parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (self._parser.get_method(), self._callbacks.url, version)]
        lines += [
            b"%s: %s" % (name, value)
            for name, value in self._callbacks.headers
            if name != b"upgrade"
        ]
        return b"\r\n".join([*lines, b"", b""])


def _make_parser(callbacks: Callbacks) -> httptools.HttpRequestParser:
    parser = httptools.HttpRequestParser(callbacks)
    # as uvicorn has it: a request is answered, whatever follows it on the connection
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser
