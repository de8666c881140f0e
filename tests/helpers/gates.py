"""A gated server in its own process, and the gates that a test opens and closes."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.helpers import gated_server
from tests.helpers.conditions import LIMIT_S, wait_until
from tests.helpers.servers import COMMAND, RunningServer, started_server, wait_until_ready

KEY = {"X-API-Key": "a-key-of-the-tests"}


class Gates:
    """The files that a gated server waits for, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.command = (sys.executable, "-P", gated_server.__file__, str(folder), *COMMAND[-3:])

    def open(self, *names: str) -> None:
        for name in names:
            (self.folder / name).touch()

    def close(self, *names: str) -> None:
        for name in names:
            (self.folder / name).unlink(missing_ok=True)

    def wait_until_running(self) -> None:
        wait_until((self.folder / "running").exists)


@contextmanager
def gated(
    folder: Path, *is_open: str, settings: Mapping[str, str] | None = None
) -> Iterator[tuple[RunningServer, Gates]]:
    gates = Gates(folder)
    gates.open(*is_open)
    with started_server(folder, settings, gates.command) as server:
        if "load" in is_open:
            wait_until_ready(server)
        yield server, gates


def post(server: RunningServer, image: bytes, path: str = "/predict") -> httpx.Response:
    return httpx.post(f"{server.url}{path}", files={"image": image}, headers=KEY, timeout=LIMIT_S)


def is_listening(url: str) -> bool:
    host, port = url.removeprefix("http://").split(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except ConnectionError:
        return False
    return True
