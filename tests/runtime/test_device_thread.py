"""The engine makes itself faster where it can, and nothing that it does then harms the service."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from service.worker_state import State
from tests.runtime.running import (
    LIMIT_S,
    MakeQueue,
    Runner,
    hold_first,
    job,
    ready_queue,
    result_of,
    run,
    submit_all,
)


class Improving(Runner):
    """An engine with some pieces of work to do for later."""

    def __init__(self, n_left: int = 3) -> None:
        super().__init__()
        self.n_left, self.was_idle = n_left, list[bool]()
        self.error: Exception | None = None
        self.may_improve = threading.Event()
        self.may_improve.set()

    def improve(self, *, is_idle: bool) -> bool:
        assert self.may_improve.wait(LIMIT_S)
        if self.error:
            raise self.error
        if not self.n_left:
            return False
        self.was_idle.append(is_idle)
        self.n_left -= 1
        return True


@pytest.fixture
def runner() -> Improving:
    return Improving()


def test_it_improves_until_there_is_nothing_left_to_do(
    runner: Improving, make_queue: MakeQueue
) -> None:
    async def scenario() -> None:
        queue = make_queue()
        assert result_of(await queue.submit(job(1))) == 1
        assert runner.was_idle == [True] * 3

    run(scenario())


def test_it_knows_whether_jobs_wait(runner: Improving, make_queue: MakeQueue) -> None:
    async def scenario() -> None:
        runner.n_left = 0
        queue = make_queue()
        first = await hold_first(runner, queue)
        others = await submit_all(queue, range(1, 3))
        runner.n_left = 1
        runner.gate.set()
        await asyncio.gather(first, *others)
        assert runner.was_idle == [False]

    run(scenario())


def test_should_that_fail_it_serves_on(
    runner: Improving, make_queue: MakeQueue, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        runner.error = MemoryError("none left")
        queue = make_queue()
        assert result_of(await queue.submit(job(1))) == 1
        assert queue.state is State.READY

    with caplog.at_level(logging.ERROR):
        run(scenario())
    assert "cannot make itself faster" in caplog.text


def test_it_is_stalled_where_that_hangs(runner: Improving, make_queue: MakeQueue) -> None:
    async def scenario() -> None:
        runner.may_improve.clear()
        queue = make_queue()
        waiting = asyncio.create_task(queue.submit(job(1)))
        await asyncio.sleep(0.1)
        assert queue.health(stall_s=0.05) is State.STALLED
        runner.may_improve.set()
        await waiting
        assert queue.health(stall_s=LIMIT_S) is State.READY

    run(scenario())


def test_it_ends_without_improving_any_more(runner: Improving) -> None:
    runner.n_left = 1000
    runner.may_improve.clear()
    queue = ready_queue(lambda: runner)
    closing = threading.Thread(target=queue.close)
    closing.start()
    while queue.state is not State.DRAINING:
        pass
    runner.may_improve.set()
    closing.join(LIMIT_S)
    assert not closing.is_alive()
    assert len(runner.was_idle) <= 2
