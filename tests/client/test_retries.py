"""When a request is sent again, and when no more."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrpserve_client.retries import Outcome, Retries

DONE = httpx.Response(200)


def pauses(outcomes: list[Outcome], retries: Retries) -> tuple[list[float], Outcome]:
    """The pauses before each sending, and the last outcome."""
    attempts = retries.attempts()
    found = [next(attempts)]
    for outcome in outcomes:
        try:
            found.append(attempts.send(outcome))
        except StopIteration as last:
            return found, last.value
    raise AssertionError("it would go on")


def busy(after: str) -> httpx.Response:
    return httpx.Response(429, headers={"Retry-After": after})


@pytest.mark.parametrize("after", ["2", "2.0"])
def test_retry_after_is_waited_for(after: str) -> None:
    assert pauses([busy(after), DONE], Retries(3, 10)) == ([0, 2], DONE)


def test_a_service_that_starts_and_a_refused_connection_are_tried_again() -> None:
    starting = httpx.Response(503, json={"type": "urn:lrpserve:problem:not-ready"})
    outcomes: list[Outcome] = [httpx.ConnectError("refused"), starting, DONE]
    assert pauses(outcomes, Retries(3, 10)) == ([0, 0.25, 0.5], DONE)


@pytest.mark.parametrize(
    "outcome", [httpx.Response(500), httpx.Response(503), httpx.ReadTimeout("late"), DONE]
)
def test_anything_else_stands(outcome: Outcome) -> None:
    assert pauses([outcome], Retries(3, 10)) == ([0], outcome)


@given(after=st.text(), retries=st.integers(0, 6), wait_s=st.floats(0, 100))
def test_pauses_are_bounded_whatever_is_answered(after: str, retries: int, wait_s: float) -> None:
    answer = httpx.Response(429, headers=[(b"Retry-After", after.encode("utf-8", "replace"))])
    found, last = pauses([answer] * 7, Retries(retries, wait_s))
    assert last is answer
    assert len(found) <= retries + 1
    assert min(found) >= 0
    assert sum(found) <= wait_s + 1e-9
