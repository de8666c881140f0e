"""The open loop, against a server whose responses and delays are known."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from statistics import mean, median

import pytest

from benchmarks.open_loop import LoadResult, OfferedLoad, Outcome, due_times, offer_load
from benchmarks.payloads import Payload

PAYLOAD = Payload("image/png", b"a body")
DELAY_S = 0.05


@contextmanager
def serving(status_of: Callable[[int], int], delay_s: float = 0.0) -> Iterator[str]:
    """Answer the n-th request after a while; with status 0 close the connection instead."""
    numbers = itertools.count()
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = Future()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await read_head(reader):
            assert b"POST /explain?top_k=1 HTTP/1.1" in head
            assert b"Content-Type: image/png" in head
            assert await reader.readexactly(len(PAYLOAD.body)) == PAYLOAD.body
            await asyncio.sleep(delay_s)
            status = status_of(next(numbers))
            if not status:
                break
            writer.write(b"HTTP/1.1 %d Any\r\ncontent-length: 5\r\n\r\n" % status)
            await asyncio.sleep(0)  # the body comes apart
            writer.write(b"12345")
        writer.close()

    async def serve() -> None:
        is_over = asyncio.Event()
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        started.set_result((asyncio.get_running_loop(), is_over, port))
        async with server:
            await is_over.wait()
            while len(asyncio.all_tasks()) > 1:  # noqa: ASYNC110  until the clients have left
                await asyncio.sleep(0.01)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    loop, is_over, port = started.result()
    try:
        yield f"http://127.0.0.1:{port}/explain?top_k=1"
    finally:
        loop.call_soon_threadsafe(is_over.set)
        thread.join()


async def read_head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


def test_requests_are_due_at_random_times_with_the_rate() -> None:
    load = OfferedLoad(per_s=200, seconds=50, connections=1, seed=3)
    times = due_times(load)
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert len(times) == 10_000
    assert mean(gaps) == pytest.approx(1 / 200, rel=0.05)
    assert median(gaps) == pytest.approx(0.693 / 200, rel=0.1)  # ln 2: of an exponential
    assert times == due_times(load)


def test_each_outcome_has_the_status_that_the_server_sent() -> None:
    with serving(lambda n: 200 if n % 4 else 429) as url:
        result = offer_load(url, PAYLOAD, OfferedLoad(per_s=200, seconds=1, connections=8))
    statuses = [outcome.status for outcome in result.outcomes]
    assert (len(statuses), statuses.count(200), statuses.count(429)) == (200, 150, 50)
    assert result.share((200,), limit_s=60) == 0.75
    assert result.share((200, 429), limit_s=60) == 1.0


def test_requests_do_not_wait_while_connections_are_free() -> None:
    with serving(lambda n: 200, DELAY_S) as url:
        result = offer_load(url, PAYLOAD, OfferedLoad(per_s=100, seconds=1, connections=50))
    times = [outcome.latency_s for outcome in result.outcomes]
    assert min(times) >= 0.9 * DELAY_S  # clocks differ
    assert result.percentile_ms(0.5) < 10 * DELAY_S * 1e3  # one by one it would be 40 times


def test_latency_counts_from_when_the_request_was_due() -> None:
    with serving(lambda n: 200, DELAY_S) as url:
        result = offer_load(url, PAYLOAD, OfferedLoad(per_s=100, seconds=0.5, connections=1))
    # 50 requests one by one take 2.5 s, and were due within about half a second
    assert max(outcome.latency_s for outcome in result.outcomes) > 1.0
    assert result.sent_per_s < 40
    assert result.share((200,), limit_s=0.5) < 0.9


def test_a_request_without_a_response_counts_and_others_go_on() -> None:
    with serving(lambda n: 0 if n in (3, 5) else 200) as url:
        result = offer_load(url, PAYLOAD, OfferedLoad(per_s=100, seconds=0.5, connections=2))
    statuses = [outcome.status for outcome in result.outcomes]
    assert (statuses.count(0), statuses.count(200)) == (2, 48)


def test_goodput_counts_good_responses_until_the_last() -> None:
    outcomes = [Outcome(200, 0.1, 1.0), Outcome(200, 0.1, 4.0), Outcome(429, 0.1, 8.0)]
    result = LoadResult(outcomes, sent_per_s=3.0)
    assert result.goodput_per_s() == 0.5
    assert LoadResult([], 0.0).goodput_per_s() == 0.0
