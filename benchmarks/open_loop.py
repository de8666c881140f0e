"""An open loop: requests are sent when they are due, whether or not others were answered.

`wrk` waits for an answer before it sends the next request, so a slow server is asked less often
and its slowness is counted once. Here requests arrive at random (Poisson) at a rate of ours, and
the time of an answer counts from when its request was due, also where no connection was free.
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

from benchmarks.load import Payload

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_NONE = 0  # the status of a request that got no answer
_LIMIT_S = 40.0  # that the last answers may take: more than the service's deadline


@dataclass(frozen=True)
class Answer:
    """What became of a request.

    Attributes
    ----------
    status : int
        Of HTTP; 0 where there was no answer.
    took_s : float
        From when it was due until the answer was there.
    ended_s : float
        When that was, from the start of the load.
    """

    status: int
    took_s: float
    ended_s: float


@dataclass(frozen=True)
class Offer:
    """How much is sent.

    Attributes
    ----------
    per_s : float
        Requests in a second, in the mean.
    seconds : float
        How long.
    connections : int
        That are open; what is due while all of them are busy waits here.
    seed : int
        Of the times.
    """

    per_s: float
    seconds: float
    connections: int
    seed: int = 0


@dataclass(frozen=True)
class Offered:
    """What came of an offer.

    Attributes
    ----------
    answers : list of Answer
        One for each request that was due.
    sent_per_s : float
        Requests that were really sent in a second, while they were offered.
    """

    answers: list[Answer]
    sent_per_s: float

    def good_per_s(self) -> float:
        """Good answers in a second, until the last one came."""
        ends = [one.ended_s for one in self.answers if one.status == 200]
        return len(ends) / max(ends) if ends else 0.0

    def percentile_ms(self, share: float) -> float:
        """Of the times of good answers."""
        good_s = [one.took_s for one in self.answers if one.status == 200]
        return float(np.quantile(good_s, share)) * 1e3

    def share(self, statuses: tuple[int, ...], limit_s: float) -> float:
        """How many of all requests got one of these answers in time."""
        fine = [one for one in self.answers if one.status in statuses and one.took_s <= limit_s]
        return len(fine) / len(self.answers)


def due_times(offer: Offer) -> list[float]:
    """Seconds from the start at which requests arrive, at random."""
    n = round(offer.per_s * offer.seconds)
    gaps = np.random.default_rng(offer.seed).exponential(1 / offer.per_s, n)
    times: list[float] = np.cumsum(gaps).tolist()
    return times


def offer_load(url: str, payload: Payload, offer: Offer) -> Offered:
    """Send requests at a rate, and wait for all answers.

    Parameters
    ----------
    url : str
        Where to.
    payload : Payload
        What.
    offer : Offer
        How much of it.
    """
    return uvloop.run(_Sender(url, payload).send(offer))


class _Connection(asyncio.Protocol):
    """A connection with at most one request under way."""

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
    """Sends one load."""

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
        self._answers: list[Answer] = []
        self._n_sent, self._began_s, self._is_over = 0, 0.0, False

    async def send(self, offer: Offer) -> Offered:
        for _ in range(offer.connections):
            await self._open()
        self._began_s = time.perf_counter()
        times = due_times(offer)
        for due_s in times:
            await asyncio.sleep(max(0.0, due_s - self._now_s()))  # reads answers also when late
            self._dispatch(due_s)
        sent_per_s = self._n_sent / max(self._now_s(), offer.seconds)
        await self._wait_for(len(times))
        return Offered(self._finish(), sent_per_s)

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
            return  # what is due waits for the others
        self._all.add(connection)
        self._take_back(connection)

    def _end(self, connection: _Connection, status: int) -> None:
        if connection.due_s is not None:
            now_s = self._now_s()
            self._answers.append(Answer(status, now_s - connection.due_s, now_s))
            connection.due_s = None
        if status != _NONE and connection.is_open:
            self._take_back(connection)
        elif connection in self._all:
            self._all.discard(connection)
            if not self._is_over:
                task = asyncio.get_running_loop().create_task(self._open())
                self._opening.add(task)
                task.add_done_callback(self._opening.discard)

    def _take_back(self, connection: _Connection) -> None:
        self._free.append(connection)
        if self._waiting:
            self._dispatch(self._waiting.popleft())

    async def _wait_for(self, n: int) -> None:
        limit_s = self._now_s() + _LIMIT_S
        while len(self._answers) < n and self._now_s() < limit_s:  # noqa: ASYNC110  10 ms are fine
            await asyncio.sleep(0.01)

    def _finish(self) -> list[Answer]:
        self._is_over = True
        now_s = self._now_s()
        under_way = [one.due_s for one in self._all if one.due_s is not None]
        lost = [Answer(_NONE, now_s - due_s, now_s) for due_s in (*under_way, *self._waiting)]
        for connection in list(self._all):
            connection.due_s = None
            connection.close()
        return [*self._answers, *lost]
