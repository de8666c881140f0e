"""The transport of a connection, as uvicorn sees it: closed and paused as the protocol wants."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol


class Owner(Protocol):
    """The protocol of the connection."""

    def close(self) -> None:
        """Close the connection when the client has had time to read the response."""

    def update_reading(self) -> None:
        """Pause or resume reading, after uvicorn has paused or resumed it."""


class Transport:
    """A transport whose closing and reading are decided by its owner.

    Everything else is the transport's own.
    """

    def __init__(self, transport: asyncio.Transport, owner: Owner) -> None:
        self._transport = transport
        self.close = owner.close
        self.pause_reading = self.resume_reading = owner.update_reading
        self.is_ending = False  # whether no more requests are read, though it may still be open

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Whether it is closed, or will be."""
        return self.is_ending or self._transport.is_closing()
