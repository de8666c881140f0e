"""The servers of a comparison: started once, and stopped (SIGSTOP) but for their turns."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.payloads import Payload

ROOT = Path(__file__).parent.parent
START_LIMIT_S = 120.0
DRAIN_LIMIT_S = 5.0  # several times as long as any server computes for 16 requests


@dataclass(frozen=True)
class Server:
    """A server process that has started."""

    url: str
    process: subprocess.Popen[bytes]
    ready_s: float

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Let it run."""
        os.killpg(self.process.pid, signal.SIGCONT)
        try:
            yield
        finally:
            self.pause()

    def pause(self) -> None:
        """Stop it until its next turn."""
        os.killpg(self.process.pid, signal.SIGSTOP)


@contextmanager
def started(*arguments: str) -> Iterator[Server]:
    """Start a Python program whose last argument is its port, and wait until it is ready."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # where Python is told to keep no bytecode, every start compiles torch anew
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603  programs of ours
        [sys.executable, *arguments, str(port)],
        cwd=ROOT,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        while not _is_ready(url):
            if process.poll() is not None or time.perf_counter() - began > START_LIMIT_S:
                raise RuntimeError(f"{arguments} did not start")
            time.sleep(0.05)
        yield Server(url, process, time.perf_counter() - began)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as response:  # noqa: S310  our own
            return bool(response.status == 200)
    except OSError:
        return False


def drain(url: str, payload: Payload) -> None:
    """Wait until a server has finished the requests that were open when its load ended.

    Otherwise it would begin its next turn with work whose clients are gone: a server that drops
    such work would be compared with servers that are slowed down by it.
    """
    began = time.perf_counter()
    shortest_s = 0.0
    while time.perf_counter() - began < DRAIN_LIMIT_S:
        sent = time.perf_counter()
        request = urllib.request.Request(  # noqa: S310  our own
            url, payload.body, {"Content-Type": payload.content_type}
        )
        with urllib.request.urlopen(request, timeout=START_LIMIT_S):  # noqa: S310  our own
            took_s = time.perf_counter() - sent
        if shortest_s and took_s < 2 * shortest_s:
            return
        shortest_s = min(shortest_s or took_s, took_s)


def lrpserve(*arguments: str) -> tuple[str, ...]:
    """Arguments of Python for a command of `lrpserve`, which may not be installed as a script."""
    return ("-c", "from service.commands.__main__ import run; run()", *arguments)


def product(workers: int) -> tuple[str, ...]:
    """The command of the service."""
    return lrpserve("serve", "--workers", str(workers), "--port")


def peer(name: str) -> tuple[str, ...]:
    """The command of a peer."""
    return ("-m", f"benchmarks.peers.{name}")
