"""A request has one deadline, from its head on: receiving its body counts too."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence

import httpx
import pytest

from service.lrp.passes import Passes
from service.runtime.batcher import Outcomes
from service.runtime.jobs import Job, Result
from service.settings import Settings
from tests.api.in_process import Connection, FakeEngine, connect

LIMIT_S = 60.0
RAW = {"Content-Type": "image/png"}


class HeldEngine(FakeEngine):
    """Runs no batch until the gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.entered = threading.Event(), threading.Event()

    def run_in_passes(self, jobs: Sequence[Job]) -> Passes[Outcomes[Result]]:
        self.entered.set()
        assert self.gate.wait(LIMIT_S)
        return (yield from super().run_in_passes(jobs))


@pytest.fixture
def engine() -> HeldEngine:
    return HeldEngine()


@pytest.fixture
def held(engine: HeldEngine) -> Iterator[Connection]:
    settings = Settings(deadline_s=0.5, receive_s=LIMIT_S, cache_bytes=1 << 20)
    with connect(settings, engine) as connection:
        yield connection
        engine.gate.set()


def post(connection: Connection, path: str, body: AsyncIterator[bytes]) -> httpx.Response:
    async def send() -> httpx.Response:
        return await connection.client.post(path, content=body, headers=RAW)

    return connection.run(asyncio.wait_for(send(), LIMIT_S))


@pytest.mark.parametrize("path", ["/predict", "/explain"])
def test_a_body_that_never_ends_gets_a_504_at_the_deadline(
    held: Connection, photo: bytes, path: str
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield photo[:10]
        await asyncio.Event().wait()

    answer = post(held, path, endless())
    assert answer.status_code == 504
    assert answer.json()["type"].endswith("deadline-exceeded")
    assert "within 0.5 s of the request" in answer.json()["detail"]
    assert answer.headers["connection"] == "close"  # the rest of the body is not read


@pytest.mark.parametrize("path", ["/predict", "/explain"])
def test_the_deadline_does_not_restart_after_a_slow_body(
    held: Connection, engine: HeldEngine, photo: bytes, path: str
) -> None:
    """The request whose head came first is the first to time out, though its body came last."""
    has_begun, other_runs = asyncio.Event(), asyncio.Event()
    ended = []

    async def slow_body() -> AsyncIterator[bytes]:
        has_begun.set()
        yield photo[:10]
        await other_runs.wait()
        yield photo[10:]

    async def send(name: str, body: AsyncIterator[bytes] | bytes) -> None:
        answer = await held.client.post(path, content=body, headers=RAW)
        assert answer.status_code == 504
        ended.append(name)

    async def scenario() -> None:
        slow = asyncio.create_task(send("slow", slow_body()))
        await has_begun.wait()
        quick = asyncio.create_task(send("quick", photo))
        assert await asyncio.to_thread(engine.entered.wait, LIMIT_S)
        other_runs.set()
        await asyncio.gather(slow, quick)

    held.run(asyncio.wait_for(scenario(), LIMIT_S))
    assert ended == ["slow", "quick"]
