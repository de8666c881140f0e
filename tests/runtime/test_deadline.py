"""A deadline: one point in time for everything that is done for a request."""

from __future__ import annotations

import asyncio

import pytest

from service.errors import DeadlineExceeded, RequestTimeout
from service.runtime.deadline import Deadline
from tests.runtime.running import LIMIT_S, run


async def wait_for_ever(ended: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        ended.append("cancelled")


def test_a_block_that_still_runs_at_the_deadline_is_cancelled() -> None:
    async def scenario() -> None:
        ended: list[str] = []
        with pytest.raises(DeadlineExceeded, match=r"within 0\.05 s of the request"):
            async with Deadline(0.05).enforce():
                await wait_for_ever(ended)
        assert ended == ["cancelled"]

    run(scenario())


def test_it_does_not_restart_with_each_block() -> None:
    """The deadline that was made first passes first, though its block begins last."""

    async def scenario() -> None:
        ended: list[str] = []

        async def enforce(name: str, deadline: Deadline) -> None:
            with pytest.raises(DeadlineExceeded):
                async with deadline.enforce():
                    await asyncio.Event().wait()
            ended.append(name)

        first, second = Deadline(0.05), Deadline(0.05)
        await asyncio.gather(enforce("second", second), enforce("first", first))
        assert ended == ["first", "second"]

    run(scenario())


def test_a_block_that_ends_before_is_left_alone() -> None:
    async def scenario() -> None:
        deadline = Deadline(LIMIT_S)
        async with deadline.enforce(), deadline.enforce(LIMIT_S / 2):
            await asyncio.sleep(0)

    run(scenario())


def test_a_timeout_of_the_block_itself_is_not_the_deadline() -> None:
    async def scenario() -> None:
        with pytest.raises(TimeoutError, match="of the block"):
            async with Deadline(LIMIT_S).enforce():
                raise TimeoutError("of the block")

    run(scenario())


@pytest.mark.parametrize("deadline_s", [LIMIT_S, 0.05], ids=["before", "at"])
def test_an_earlier_limit_has_an_error_of_its_own(deadline_s: float) -> None:
    async def scenario() -> None:
        with pytest.raises(RequestTimeout):
            async with Deadline(deadline_s).enforce(0.05, RequestTimeout("the body is late")):
                await asyncio.Event().wait()

    run(scenario())


def test_a_later_limit_does_not_move_the_deadline() -> None:
    async def scenario() -> None:
        with pytest.raises(DeadlineExceeded):
            async with Deadline(0.05).enforce(LIMIT_S, RequestTimeout("the body is late")):
                await asyncio.Event().wait()

    run(scenario())
