"""The retry policy of a request.

A request is repeated after a problem of one of `RETRIED` types, and where no connection could be
made. The pause is as long as `Retry-After`, at least, and doubles each time, up to two seconds.
Requests change nothing in the service, so that sending one twice does no harm.

Nothing else is retried: a timeout has taken the caller's time already, and other problems come
again. `max_retries` bounds the number of retries, `max_wait_s` the sum of the pauses; if the next
pause would exceed it, the last outcome is final.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass

import httpx

FIRST_PAUSE_S = 0.25
MAX_BACKOFF_S = 2.0
# docs/reference/errors.md lists them
RETRIED = frozenset(
    f"urn:lrpserve:problem:{name}"
    for name in (
        "bodies-full",
        "not-ready",
        "overloaded",
        "queue-full",
        "rate-limit-unavailable",
        "rate-limited",
    )
)

Outcome = httpx.Response | httpx.TransportError
Attempts = Generator[float, Outcome, Outcome]


@dataclass(frozen=True)
class Retries:
    """The bounds of the retries of a request."""

    max_retries: int
    max_wait_s: float

    def attempts(self) -> Attempts:
        """Yield the pause before each attempt in seconds, receive its outcome, return the last.

        Sending and sleeping are left to the caller, which may be blocking or asyncio.
        """
        outcome = yield 0.0
        left_s = self.max_wait_s
        for retry in range(self.max_retries):
            pause_s = _pause_s(outcome, min(FIRST_PAUSE_S * 2**retry, MAX_BACKOFF_S))
            if pause_s is None or pause_s > left_s:
                break
            left_s -= pause_s
            outcome = yield pause_s
        return outcome


def _pause_s(outcome: Outcome, backoff_s: float) -> float | None:
    """The pause before the next attempt; None if the outcome is final."""
    if isinstance(outcome, httpx.TransportError):
        return backoff_s if isinstance(outcome, httpx.ConnectError) else None
    if _type(outcome) not in RETRIED:
        return None
    return max(backoff_s, _retry_after_s(outcome.headers.get("Retry-After", "")))


def _type(response: httpx.Response) -> str:
    """The type of a problem; empty for other responses."""
    try:
        content = response.json() if response.is_error else None
    except ValueError:
        content = None
    return str(content.get("type", "")) if isinstance(content, dict) else ""


def _retry_after_s(text: str) -> float:
    try:
        wait_s = float(text)
    except ValueError:
        return 0.0
    return wait_s if math.isfinite(wait_s) else 0.0
