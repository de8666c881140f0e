"""Several calls at once, of which each has its own outcome."""

from __future__ import annotations

import asyncio

import pytest

from service.api.inference import outcomes_of
from service.errors import NotAnImage


async def give(value: int) -> int:
    await asyncio.sleep(0)
    return value


async def fail(error: BaseException) -> int:
    await asyncio.sleep(0)
    raise error


def test_outcomes_are_in_the_order_of_the_calls_and_errors_are_those_of_one_call() -> None:
    error = NotAnImage("it is empty")
    assert asyncio.run(outcomes_of([give(1), fail(error), give(3)])) == [1, error, 3]


def test_an_error_that_no_call_may_raise_is_raised_and_the_others_are_cancelled() -> None:
    async def scenario() -> None:
        other = asyncio.ensure_future(asyncio.sleep(60))
        with pytest.raises(RuntimeError, match="unforeseen"):
            await outcomes_of([fail(RuntimeError("unforeseen")), other])
        assert other.cancelled()

    asyncio.run(scenario())
