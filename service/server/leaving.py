"""Notices that the client of a connection has left while the connection is not read."""

from __future__ import annotations

import select
import socket


def has_left(connection: socket.socket) -> bool:
    """Whether the client has closed its side of a connection, or reset it.

    Bytes that it sent before may still be unread: to read would not say.
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLRDHUP)
    return bool(poll.poll(0))
