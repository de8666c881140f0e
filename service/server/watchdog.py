"""Processes that hang: how long one has been silent, and the end of one that was told to end."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

from service.logs import flush_log
from service.settings import Settings

logger = logging.getLogger(__name__)

_TICK_S = 0.2
_LONGEST_STEP_S = 1.0
_MARGIN_S = 5.0


class Silence:
    """How long a process has not beaten, in seconds, as far as its observer ran itself.

    An observer that was stopped, with its machine for example, has heard nothing meanwhile: a step
    between two observations counts as one second at most.

    Parameters
    ----------
    read_beats : callable
        Returns a counter of heartbeats.
    """

    def __init__(self, read_beats: Callable[[], int]) -> None:
        self._read_beats = read_beats
        self._beats, self._observed_at = read_beats(), time.monotonic()
        self.seconds = 0.0

    def observe(self) -> float:
        """Read the counter again; return the seconds since its last change."""
        beats, now = self._read_beats(), time.monotonic()
        step_s = min(now - self._observed_at, _LONGEST_STEP_S)
        self.seconds = self.seconds + step_s if beats == self._beats else 0.0
        self._beats, self._observed_at = beats, now
        return self.seconds


class EndLimits:
    """The time that a process has to end, from the first signal.

    Parameters
    ----------
    settings : Settings
        Of the service.
    """

    def __init__(self, settings: Settings) -> None:
        self._grace_s = settings.grace_s
        self._silence_s = settings.hang_s / 3
        # a request that was accepted at the end of the grace period is answered by its deadline
        self._total_s = settings.grace_s + settings.deadline_s + _MARGIN_S

    def is_over(self, since_signal_s: float, silence_s: float) -> bool:
        """Whether the process has to be killed: it hangs, or has taken too long."""
        if since_signal_s >= self._total_s:
            return True
        return since_signal_s >= self._grace_s and silence_s >= self._silence_s


class EndWatchdog:
    """A thread that exits the process where it has not ended in time after a signal.

    Parameters
    ----------
    limits : EndLimits
        The time that it has.
    read_beats : callable
        Returns the counter of the process's heartbeats.
    """

    def __init__(self, limits: EndLimits, read_beats: Callable[[], int]) -> None:
        self._limits, self._read_beats = limits, read_beats
        self._signals: SimpleQueue[float] = SimpleQueue()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def start(self) -> None:
        """Start to watch; a signal handler may call it."""
        self._signals.put(time.monotonic())

    def _watch(self) -> None:
        began = self._signals.get()
        silence = Silence(self._read_beats)
        while not self._limits.is_over(time.monotonic() - began, silence.observe()):
            time.sleep(_TICK_S)
        logger.error("process %d has not ended in time after a signal, and is killed", os.getpid())
        flush_log()
        os._exit(1)
