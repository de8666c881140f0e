"""The retry policy, and both clients that follow it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrpserve_client import AsyncClient, Client, RequestRefused
from lrpserve_client.retries import Outcome, Retries

OK = httpx.Response(200)


def pauses(outcomes: list[Outcome], retries: Retries) -> tuple[list[float], Outcome]:
    """The pauses before each attempt, and the last outcome."""
    attempts = retries.attempts()
    pauses_s = [next(attempts)]
    for outcome in outcomes:
        try:
            pauses_s.append(attempts.send(outcome))
        except StopIteration as last:
            return pauses_s, last.value
    raise AssertionError("there would be another attempt")


def problem(status: int, name: str, after: str | bytes | None = None) -> httpx.Response:
    value = after.encode() if isinstance(after, str) else after
    headers = {} if value is None else {b"Retry-After": value}
    return httpx.Response(status, headers=headers, json={"type": f"urn:lrpserve:problem:{name}"})


def too_many(after: str) -> httpx.Response:
    return problem(429, "rate-limited", after)


@pytest.mark.parametrize("after", ["2", "2.0"])
def test_retry_after_is_the_pause(after: str) -> None:
    assert pauses([too_many(after), OK], Retries(3, 10)) == ([0, 2], OK)


def test_starting_services_and_refused_connections_are_retried_with_backoff() -> None:
    starting = problem(503, "not-ready")
    outcomes: list[Outcome] = [httpx.ConnectError("refused"), starting, OK]
    assert pauses(outcomes, Retries(3, 10)) == ([0, 0.25, 0.5], OK)


@pytest.mark.parametrize(
    "outcome",
    [
        httpx.Response(500),
        httpx.Response(503, text="urn:lrpserve:problem:not-ready"),
        problem(503, "broken"),
        problem(507, "out-of-memory", "1"),
        problem(504, "deadline-exceeded"),
        httpx.ReadTimeout("late"),
        OK,
    ],
)
def test_other_outcomes_are_final(outcome: Outcome) -> None:
    assert pauses([outcome], Retries(3, 10)) == ([0], outcome)


def test_pauses_double_up_to_two_seconds() -> None:
    busy: Outcome = problem(429, "queue-full")
    assert pauses([*[busy] * 5, OK], Retries(9, 10))[0] == [0, 0.25, 0.5, 1, 2, 2]


@given(after=st.text(), retries=st.integers(0, 6), wait_s=st.floats(0, 100))
def test_pauses_are_bounded_for_every_retry_after(after: str, retries: int, wait_s: float) -> None:
    response = problem(429, "queue-full", after.encode("utf-8", "replace"))
    pauses_s, last = pauses([response] * 7, Retries(retries, wait_s))
    assert last is response
    assert len(pauses_s) <= retries + 1
    assert min(pauses_s) >= 0
    assert sum(pauses_s) <= wait_s + 1e-9


Handler = Callable[[httpx.Request], httpx.Response]


def outcomes_in_turn(outcomes: list[Outcome]) -> Handler:
    """A mock service that gives one outcome after the other."""
    left = iter(outcomes)

    def respond(_: httpx.Request) -> httpx.Response:
        outcome = next(left)
        if isinstance(outcome, httpx.TransportError):
            raise outcome
        return outcome

    return respond


def list_models(respond: Handler, max_retries: int) -> int:
    """List the models with the blocking client; returns their number."""
    transport = httpx.MockTransport(respond)
    with Client(transport=transport, max_retries=max_retries) as lrpserve:
        return len(lrpserve.models())


def list_models_async(respond: Handler, max_retries: int) -> int:
    """List the models with the asyncio client; returns their number."""

    async def request() -> int:
        transport = httpx.MockTransport(respond)
        async with AsyncClient(transport=transport, max_retries=max_retries) as lrpserve:
            return len(await lrpserve.models())

    return asyncio.run(request())


@pytest.fixture
def slept_s(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that the clients would have made."""
    pauses_s: list[float] = []

    async def sleep(delay_s: float) -> None:
        pauses_s.append(delay_s)

    monkeypatch.setattr(time, "sleep", pauses_s.append)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    return pauses_s


@pytest.mark.parametrize("send", [list_models, list_models_async])
class TestClients:
    """Both clients follow the policy."""

    def test_requests_are_repeated_after_the_pauses(
        self, send: Callable[[Handler, int], int], slept_s: list[float]
    ) -> None:
        starting = problem(503, "not-ready")
        done = httpx.Response(200, json={"models": []})
        outcomes: list[Outcome] = [too_many("2"), httpx.ConnectError("refused"), starting, done]
        assert send(outcomes_in_turn(outcomes), 3) == 0
        assert slept_s == [0, 2, 0.5, 1]

    def test_the_last_refusal_is_raised(
        self, send: Callable[[Handler, int], int], slept_s: list[float]
    ) -> None:
        busy = problem(429, "queue-full", "1")
        with pytest.raises(RequestRefused, match="429 refused"):
            send(outcomes_in_turn([busy] * 3), 2)
        assert slept_s == [0, 1, 1]
