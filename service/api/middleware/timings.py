"""Durations of the stages of a request."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any


class Timings:
    """Milliseconds by stage, for `Server-Timing`, the log and the metrics."""

    def __init__(self) -> None:
        self._started_at = time.perf_counter()
        self._stages: dict[str, float] = {}

    def add(self, stage: str, ms: float) -> None:
        """Record a stage that has just ended."""
        self._stages[stage] = self._stages.get(stage, 0.0) + ms

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Record the duration of a block."""
        started_at = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, (time.perf_counter() - started_at) * 1e3)

    async def measure_job(self, submitted: Awaitable[Any]) -> Any:
        """Wait for the `Done` of a job, and record its stages `queue` and `compute`."""
        done = await submitted
        self.add("queue", done.queue_ms)
        self.add("compute", done.compute_ms)
        return done

    @property
    def stages_ms(self) -> Mapping[str, float]:
        """Milliseconds of each recorded stage."""
        return self._stages

    @property
    def total_ms(self) -> float:
        """Milliseconds since the request began."""
        return (time.perf_counter() - self._started_at) * 1e3

    def header(self) -> str:
        """The value of `Server-Timing`, with the total last."""
        stages = {**self._stages, "total": self.total_ms}
        return ", ".join(f"{name};dur={ms:.3f}" for name, ms in stages.items())
