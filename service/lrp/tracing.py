"""Keeps torch.fx's tracing apart from batches. Needs no torch.

To trace a network torch.fx patches torch's classes for all threads: a batch that another thread
computes meanwhile would be traced with it, and fail. So a model that is loaded while others serve
is traced between their batches; a trace takes milliseconds, everything else goes on beside them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class TracingGate:
    """Lets many threads compute, or one trace. A trace that waits goes first."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._n_computing = 0
        self._n_traces = 0  # that run or wait
        self._is_tracing = False

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Compute in this block; not for a thread that traces within it."""
        with self._changed:
            while self._n_traces:
                self._changed.wait()
            self._n_computing += 1
        try:
            yield
        finally:
            with self._changed:
                self._n_computing -= 1
                self._changed.notify_all()

    @contextmanager
    def tracing(self) -> Iterator[None]:
        """Trace in this block, as the only thread."""
        with self._changed:
            self._n_traces += 1
            while self._is_tracing or self._n_computing:
                self._changed.wait()
            self._is_tracing = True
        try:
            yield
        finally:
            with self._changed:
                self._is_tracing = False
                self._n_traces -= 1
                self._changed.notify_all()


TRACING = TracingGate()  # what torch.fx patches is one for the process
