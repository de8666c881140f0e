"""When a request is sent again.

- 429: after `Retry-After`, or after a growing pause where it says nothing.
- 503 of a service that is starting, and a connection that could not be made: after a growing
  pause. Requests change nothing in the service, so that sending one twice does no harm.

Nothing else: a timeout has taken the caller's time already. `max_retries` bounds the number,
`max_wait_s` the sum of the pauses; where the next one would go beyond it, the last outcome stands.
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
    """How often, and how long in all, a request is tried again."""

    max_retries: int
    max_wait_s: float

    def attempts(self) -> Attempts:
        """Give the pause before each sending, in seconds; take its outcome; return the last.

        So the caller sends and sleeps, in its own way, and all else stands here.
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


def _pause_s(outcome: Outcome, growing_s: float) -> float | None:
    """The pause before the next try; None: there is none."""
    if isinstance(outcome, httpx.TransportError):
        return growing_s if isinstance(outcome, httpx.ConnectError) else None
    if outcome.status_code == 429:
        return _retry_after_s(outcome.headers.get("Retry-After", ""), growing_s)
    is_starting = outcome.status_code == 503 and b":not-ready" in outcome.content
    return growing_s if is_starting else None


def _retry_after_s(text: str, otherwise_s: float) -> float:
    try:
        wait_s = float(text)
    except ValueError:
        return otherwise_s
    return wait_s if math.isfinite(wait_s) and wait_s >= 0 else otherwise_s
