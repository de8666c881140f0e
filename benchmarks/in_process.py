"""Parts of a server without a network and without a device, to time what is between them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import cast

from starlette.types import Message, Receive, Scope

from service.runtime.device_thread import Layers
from service.runtime.jobs import Explanation, Job, Result


class Answered:
    """A device that has the answer already."""

    device_name, layers = "none", cast("Layers", {})

    def __init__(self, explanation: Explanation) -> None:
        self._explanation = explanation

    def best_size(self, job: Job) -> int:
        """One."""
        return 1

    def memory_bytes(self) -> int:
        """None."""
        return 0

    def run(self, jobs: Sequence[Job], is_cancelled: Callable[[], bool]) -> Sequence[Result]:
        """Give it."""
        return [self._explanation] * len(jobs)


class Wire(asyncio.Transport):
    """A connection without a network."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.has_answer = asyncio.Event()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take a piece of the answer; the body is the last one."""
        if not bytes(data[:5]).startswith(b"HTTP/"):
            self.has_answer.set()

    def is_closing(self) -> bool:
        """Never."""
        return False

    def get_write_buffer_size(self) -> int:
        """Nothing waits."""
        return 0

    def pause_reading(self) -> None:
        """Nothing has to."""

    def resume_reading(self) -> None:
        """It was not paused."""

    def close(self) -> None:
        """Nothing is open."""


def head(path: str, length: int) -> bytes:
    """The head of a request, as `wrk` sends it."""
    lines = ("Host: 127.0.0.1:8000", "Content-Type: image/png", f"Content-Length: {length}")
    return "\r\n".join((f"POST {path} HTTP/1.1", *lines, "", "")).encode()


def scope_of(method: str, path: str, length: int) -> Scope:
    """A request, as the application gets it."""
    headers = [(b"host", b"a"), (b"content-type", b"image/png")]
    headers.append((b"content-length", str(length).encode()))
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "headers": headers,
    }


def receiver(body: bytes) -> Receive:
    """Gives a body at once."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def drop(message: Message) -> None:
    """Send nowhere."""
