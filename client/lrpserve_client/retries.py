"""The retry policy of a request.

- 429: after `Retry-After`, or with exponential backoff where that is missing.
- 503 of a service that is starting, and a connection that could not be made: with exponential
  backoff. Requests change nothing in the service, so that sending one twice does no harm.

Nothing else is retried: a timeout has taken the caller's time already. `max_retries` bounds the
number of retries, `max_wait_s` the sum of the pauses; if the next pause would exceed it, the last
outcome is final.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass

import httpx

FIRST_PAUSE_S = 0.25

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
            pause_s = _pause_s(outcome, FIRST_PAUSE_S * 2**retry)
            if pause_s is None or pause_s > left_s:
                break
            left_s -= pause_s
            outcome = yield pause_s
        return outcome


def _pause_s(outcome: Outcome, backoff_s: float) -> float | None:
    """The pause before the next attempt; None if the outcome is final."""
    if isinstance(outcome, httpx.TransportError):
        return backoff_s if isinstance(outcome, httpx.ConnectError) else None
    if outcome.status_code == 429:
        return _retry_after_s(outcome.headers.get("Retry-After", ""), backoff_s)
    is_starting = outcome.status_code == 503 and b":not-ready" in outcome.content
    return backoff_s if is_starting else None


def _retry_after_s(text: str, default_s: float) -> float:
    try:
        wait_s = float(text)
    except ValueError:
        return default_s
    return wait_s if math.isfinite(wait_s) and wait_s >= 0 else default_s
