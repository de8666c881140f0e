"""The bytes of all request bodies are bounded, and slow clients give way to others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from typing import Any

import pytest

from service.api.request.body_budget import Body, BodyBudget
from service.errors import BodiesFull


async def pieces(*sizes: int) -> AsyncGenerator[bytes, None]:
    for size in sizes:
        yield bytes(size)


async def receive(body: Body, *sizes: int) -> None:
    async with body.receive():
        async for _ in body.count(pieces(*sizes)):
            pass


async def receive_slowly(budget: BodyBudget, first: int) -> None:
    with budget.hold() as body:
        async with body.receive():
            async for _ in body.count(pieces(first, 0)):
                await asyncio.sleep(60)


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)


def test_a_body_counts_until_its_request_is_answered() -> None:
    budget = BodyBudget(10)

    async def scenario() -> None:
        with budget.hold() as body:
            await receive(body, 4, 3)
            assert budget.n_bytes == 7
        assert budget.n_bytes == 0

    run(scenario())


def test_a_body_that_does_not_fit_beside_those_in_work_is_refused() -> None:
    budget = BodyBudget(10)

    async def scenario() -> None:
        with budget.hold() as body:
            await receive(body, 8)
            with budget.hold() as other:
                with pytest.raises(BodiesFull) as refused:
                    await receive(other, 2, 1)
                assert refused.value.headers == {"Retry-After": "1"}
                assert budget.n_bytes == 8
            assert not body.is_refused
        assert budget.n_bytes == 0

    run(scenario())


def test_the_body_that_has_taken_the_most_for_the_longest_gives_way() -> None:
    budget = BodyBudget(10)

    async def scenario() -> None:
        small = asyncio.create_task(receive_slowly(budget, 1))
        large = asyncio.create_task(receive_slowly(budget, 8))
        await asyncio.sleep(0)
        with budget.hold() as body:
            await receive(body, 6)
            with pytest.raises(BodiesFull):
                await large
            assert budget.n_bytes == 1 + 6
            assert not small.done()
        small.cancel()

    run(scenario())


def test_a_timeout_of_another_kind_is_none_of_the_budget() -> None:
    async def scenario() -> None:
        with BodyBudget(10).hold() as body, pytest.raises(TimeoutError, match="another"):
            async with body.receive():
                raise TimeoutError("another")

    run(scenario())
