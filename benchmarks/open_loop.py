"""An open loop: requests are sent at random times, whether or not earlier ones have a response.

`wrk` waits for a response before it sends the next request, so a slow server gets fewer requests
and its slowness counts once. Here requests arrive as a Poisson process at a fixed rate, and a
latency counts from when the request was due, also where no connection was free.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

import numpy as np
import uvloop

from benchmarks.payloads import Payload

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_NONE = 0  # the status of a request without a response
_LIMIT_S = 40.0  # for the last responses: more than the service's deadline


@dataclass(frozen=True)
class Outcome:
    """What became of a request.

    Attributes
    ----------
    status : int
        The HTTP status; 0 where there was no response.
    latency_s : float
        From when the request was due until the response was complete.
    ended_s : float
        When the response was complete, since the start of the load.
    """

    status: int
    latency_s: float
    ended_s: float


@dataclass(frozen=True)
class OfferedLoad:
    """How many requests are sent, and how.

    Attributes
    ----------
    per_s : float
        The mean rate of requests.
    seconds : float
        How long requests are sent.
    connections : int
        Open connections; a request that is due while all are busy waits for one.
    seed : int
        For the random times.
    """

    per_s: float
    seconds: float
    connections: int
    seed: int = 0


@dataclass(frozen=True)
class LoadResult:
    """The outcomes of an offered load.

    Attributes
    ----------
    outcomes : list of Outcome
        One for each request that was due.
    sent_per_s : float
        The rate at which requests were really sent.
    """

    outcomes: list[Outcome]
    sent_per_s: float

    def goodput_per_s(self) -> float:
        """Good responses per second, until the last of them."""
        ends = [outcome.ended_s for outcome in self.outcomes if outcome.status == 200]
        return len(ends) / max(ends) if ends else 0.0

    def percentile_ms(self, share: float) -> float:
        """A percentile of the latency of good responses."""
        latencies_s = [outcome.latency_s for outcome in self.outcomes if outcome.status == 200]
        return float(np.quantile(latencies_s, share)) * 1e3

    def share(self, statuses: tuple[int, ...], limit_s: float) -> float:
        """The share of all requests that got one of the statuses within `limit_s`."""
        in_time = [
            outcome
            for outcome in self.outcomes
            if outcome.status in statuses and outcome.latency_s <= limit_s
        ]
        return len(in_time) / len(self.outcomes)


def due_times(load: OfferedLoad) -> list[float]:
    """The random times at which requests are due, in seconds from the start."""
    n = round(load.per_s * load.seconds)
    gaps = np.random.default_rng(load.seed).exponential(1 / load.per_s, n)
    times: list[float] = np.cumsum(gaps).tolist()
    return times


def offer_load(url: str, payload: Payload, load: OfferedLoad) -> LoadResult:
    """Send requests at the load's rate, and wait for all responses."""
    return uvloop.run(_Sender(url, payload).send(load))


class _Connection(asyncio.Protocol):
    """A connection with at most one open request."""

    def __init__(self, on_end: Callable[[_Connection, int], None]) -> None:
        self._on_end, self._buffer = on_end, b""
        self.due_s: float | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send(self, request: bytes, due_s: float) -> None:
        self.due_s, self._buffer = due_s, b""
        if self._transport is not None:
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n") + 4
        length = _LENGTH.search(self._buffer, 0, end) if end > 3 else None
        if length is not None and len(self._buffer) >= end + int(length[1]):
            self._on_end(self, int(self._buffer[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._on_end(self, _NONE)

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class _Sender:
    """Sends one load over a pool of connections."""

    def __init__(self, url: str, payload: Payload) -> None:
        parts = urlsplit(url)
        self._host, self._port = str(parts.hostname), int(parts.port or 80)
        path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Content-Type: {payload.content_type}\r\nContent-Length: {len(payload.body)}\r\n\r\n"
        )
        self._request = head.encode() + payload.body
        self._free: deque[_Connection] = deque()
        self._all: set[_Connection] = set()
        self._waiting: deque[float] = deque()
        self._opening: set[asyncio.Task[None]] = set()
        self._outcomes: list[Outcome] = []
        self._n_sent, self._began_s, self._is_over = 0, 0.0, False

    async def send(self, load: OfferedLoad) -> LoadResult:
        for _ in range(load.connections):
            await self._open()
        self._began_s = time.perf_counter()
        times = due_times(load)
        for due_s in times:
            await asyncio.sleep(max(0.0, due_s - self._now_s()))  # reads responses also when late
            self._dispatch(due_s)
        sent_per_s = self._n_sent / max(self._now_s(), load.seconds)
        await self._wait_for(len(times))
        return LoadResult(self._finish(), sent_per_s)

    def _now_s(self) -> float:
        return time.perf_counter() - self._began_s  # the loop's own clock ticks in milliseconds

    def _dispatch(self, due_s: float) -> None:
        while self._free:
            connection = self._free.popleft()
            if connection.is_open:
                self._n_sent += 1
                connection.send(self._request, due_s)
                return
        self._waiting.append(due_s)

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        connect = loop.create_connection(lambda: _Connection(self._end), self._host, self._port)
        try:
            _, connection = await connect
        except OSError:
            return  # requests wait for the other connections
        self._all.add(connection)
        self._release(connection)

    def _end(self, connection: _Connection, status: int) -> None:
        if connection.due_s is not None:
            now_s = self._now_s()
            self._outcomes.append(Outcome(status, now_s - connection.due_s, now_s))
            connection.due_s = None
        if status != _NONE and connection.is_open:
            self._release(connection)
        elif connection in self._all:
            self._all.discard(connection)
            if not self._is_over:
                task = asyncio.get_running_loop().create_task(self._open())
                self._opening.add(task)
                task.add_done_callback(self._opening.discard)

    def _release(self, connection: _Connection) -> None:
        self._free.append(connection)
        if self._waiting:
            self._dispatch(self._waiting.popleft())

    async def _wait_for(self, n: int) -> None:
        limit_s = self._now_s() + _LIMIT_S
        while len(self._outcomes) < n and self._now_s() < limit_s:  # noqa: ASYNC110  10 ms are fine
            await asyncio.sleep(0.01)

    def _finish(self) -> list[Outcome]:
        self._is_over = True
        now_s = self._now_s()
        sent = [connection.due_s for connection in self._all if connection.due_s is not None]
        lost = [Outcome(_NONE, now_s - due_s, now_s) for due_s in (*sent, *self._waiting)]
        for connection in list(self._all):
            connection.due_s = None
            connection.close()
        return [*self._outcomes, *lost]
