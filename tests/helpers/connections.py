"""Plain TCP connections, for what HTTP clients do not do."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import httpx

LIMIT_S = 60.0


@dataclass(frozen=True)
class Plain:
    """A connection that sends bytes as they are, and reads responses one by one."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, content: bytes) -> None:
        """Send bytes."""
        self.writer.write(content)
        await self.writer.drain()
        await asyncio.sleep(0)  # to drain may be done at once, and then nobody else has a turn

    async def dribble(self, content: bytes, pause_s: float = 0.2) -> None:
        """Send a byte every `pause_s` seconds, until all are sent or the server closes."""
        with suppress(ConnectionError):
            for byte in content:
                await self.send(bytes([byte]))
                await asyncio.sleep(pause_s)

    async def answer(self) -> httpx.Response:
        """Read one response."""
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), LIMIT_S)).decode()
        status, *lines = head.strip().split("\r\n")
        pairs = (line.partition(": ") for line in lines)
        headers = httpx.Headers([(name, value) for name, _, value in pairs])
        body = await self.reader.readexactly(int(headers["content-length"]))
        return httpx.Response(int(status.split()[1]), headers=headers, content=body)

    async def rest(self) -> bytes:
        """Read until the server closes."""
        return await asyncio.wait_for(self.reader.read(), LIMIT_S)


@asynccontextmanager
async def plain(url: str, trust: ssl.SSLContext | None = None) -> AsyncIterator[Plain]:
    """Connect to a server, with TLS if there is a context, and reset the connection at the end."""
    host, port = url.partition("://")[2].split(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=trust)
    try:
        yield Plain(reader, writer)
    finally:
        writer.transport.abort()


def head(path: str, n_bytes: int, *lines: str) -> bytes:
    """The head of a request with a raw image of so many bytes."""
    own = ["Host: a", "Content-Type: image/png", f"Content-Length: {n_bytes}", *lines]
    return "\r\n".join([f"POST {path} HTTP/1.1", *own, "", ""]).encode()
