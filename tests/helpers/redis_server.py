"""A real Redis for tests, on a free port, that can be stopped, frozen and started again."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from tests.helpers.tools import find_tool

LIMIT_S = 30.0


class RedisServer:
    """A `redis-server` process that keeps nothing on disk; with a password, clients need it."""

    def __init__(self, folder: Path, password: str = "") -> None:
        self._folder, self._password = folder, password
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        credentials = f":{password}@" if password else ""
        self.url = f"redis://{credentials}127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start the process, and wait until it replies."""
        command = [find_tool("redis-server"), "--bind", "127.0.0.1", "--port", str(self.port)]
        command += ["--save", "", "--requirepass", self._password]
        self._process = subprocess.Popen(command, cwd=self._folder, stdout=subprocess.DEVNULL)
        limit = time.monotonic() + LIMIT_S
        while not self._replies():
            if time.monotonic() > limit or self._process.poll() is not None:
                raise RuntimeError("redis-server did not start")
            time.sleep(0.02)

    def stop(self) -> None:
        """Kill the process; its counters are lost."""
        if self._process:
            self._process.kill()
            self._process.wait(LIMIT_S)

    def freeze(self) -> None:
        """Suspend the process: it accepts connections and never replies."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Resume the process."""
        self._signal(signal.SIGCONT)

    def keys(self) -> list[str]:
        """All keys in the database."""
        with redis.Redis.from_url(self.url) as client:
            return sorted(key.decode() for key in client.scan_iter())

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            raise RuntimeError("redis-server was not started")
        self._process.send_signal(number)

    def _replies(self) -> bool:
        try:
            with redis.Redis.from_url(self.url) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False


@contextmanager
def running_redis(folder: Path, password: str = "") -> Iterator[RedisServer]:
    """Start a Redis and end it; skips where there is none, but fails in CI."""
    server = RedisServer(folder, password)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
