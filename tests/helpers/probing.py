"""Probes of a server while something is done to it: its latency and its memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from tests.helpers.processes import resident_bytes
from tests.helpers.servers import RunningServer

_PAUSE_S = 0.02


def memory_bytes(server: RunningServer) -> int:
    """The resident memory of a server's process."""
    return resident_bytes(server.process.pid)


@dataclass
class Probes:
    """What was measured: statuses and seconds of `/healthz`, and the memory in bytes."""

    statuses: set[int] = field(default_factory=set)
    times_s: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)

    @property
    def growth_bytes(self) -> int:
        """How much the memory has grown beyond its first value, at the most."""
        return max(self.memory) - self.memory[0]


@contextmanager
def probing(server: RunningServer) -> Iterator[Probes]:
    """Probe a server in a thread, on a new connection each time, until the end of the block."""
    probes, stop = Probes(memory=[memory_bytes(server)]), threading.Event()

    def probe() -> None:
        while not stop.wait(_PAUSE_S):
            began = time.monotonic()
            status = httpx.get(f"{server.url}/healthz", timeout=60).status_code
            probes.times_s.append(time.monotonic() - began)
            probes.statuses.add(status)
            probes.memory.append(memory_bytes(server))

    thread = threading.Thread(target=probe)
    thread.start()
    try:
        yield probes
    finally:
        stop.set()
        thread.join()
    assert probes.statuses == {200}
