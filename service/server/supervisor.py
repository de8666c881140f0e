"""The parent process of several workers. It handles no requests, and needs no torch.

The contract:

- All workers accept connections from the same listening sockets, open while any of them lives.
- A worker that dies is replaced. Its requests fail at once, as its connections are closed; its
  replacement accepts connections when its models are loaded, as the others serve meanwhile.
- A worker whose event loop does not run makes the service not ready; soon it is killed, and
  replaced. One that still loads has ten times as long.
- A model that cannot be loaded at the start ends all workers, with its error. Later, a replacement
  is started again and again, with growing pauses, while any worker serves.
- Workers that die at their start several times in a row, while none serves, end the service.
- The first signal shuts all workers down gracefully, the second one kills them, and so does the end
  of the time that they have. SIGHUP is no second signal: it comes with others.
- Workers do not outlive the parent.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import time
from collections.abc import Sequence
from types import FrameType

from service.errors import BundleError, ServiceError
from service.logs import flush_log, print_soon
from service.server.process import SIGNALS, handled_signals
from service.server.watchdog import EndLimits
from service.server.worker import Failure, Ready, Worker, start_worker
from service.settings import Settings
from service.shared_metrics import SharedMetrics
from service.shared_models import SharedModels
from service.worker_state import State, WorkerSlot, WorkerStates

logger = logging.getLogger(__name__)

_TICK_S = 0.1
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_MAX_FAILED_STARTS = 4  # in a row
_LOADING_FACTOR = 10  # importing a library may hold the interpreter for long


class WorkerError(ServiceError):
    """Worker processes cannot be kept alive."""

    type = "worker-error"
    title = "Workers die"


class Supervisor:
    """Starts workers, replaces those that die or hang, and shuts them down.

    Parameters
    ----------
    settings : Settings
        Of the service; `workers` is their number.
    listeners : sequence of socket.socket
        The sockets that they listen on.
    """

    def __init__(self, settings: Settings, listeners: Sequence[socket.socket]) -> None:
        self._settings, self._listeners = settings, tuple(listeners)
        self._states = WorkerStates(settings.workers)
        self._models = SharedModels(settings.workers)
        self._metrics = SharedMetrics(settings.workers)
        self._workers: dict[int, Worker] = {}
        self._starts_at: dict[int, float] = {}  # of replacements that wait
        self._n_failed_starts: dict[int, int] = {}  # in a row
        self._is_open = False  # whether all workers have been ready once
        self._end_limits = EndLimits(settings)
        self._ends_since = math.inf

    def run(self) -> None:
        """Run the workers until a signal comes.

        Raises
        ------
        ServiceError
            A model cannot be loaded, or workers die at their start.
        OSError
            The system has no process or no file for the workers.
        """
        with handled_signals(SIGNALS, self._end):
            try:
                for index in range(self._settings.workers):
                    self._start(index)
                while self._workers or not self._is_ending:
                    time.sleep(_TICK_S)
                    self._check_workers()
            finally:
                self._kill_all()

    @property
    def _is_ending(self) -> bool:
        return self._ends_since < math.inf

    def _start(self, index: int) -> None:
        slot = WorkerSlot(self._states, index, self._is_open, self._models)
        worker = start_worker(self._settings, self._listeners, slot, self._metrics)
        self._workers[index] = worker
        if self._is_ending:  # the signal came before the process was there
            worker.process.terminate()

    def _check_workers(self) -> None:
        for index, worker in list(self._workers.items()):
            is_alive, message = worker.process.is_alive(), worker.read()
            if isinstance(message, Ready):
                self._on_ready(index, message)
            if isinstance(message, Failure):
                self._on_failure(index, message)
            if is_alive:
                self._check_heartbeat(index, worker)
            else:
                self._reap(index, worker)
        for index, starts_at in list(self._starts_at.items()):
            if starts_at <= time.monotonic() and not self._is_ending:
                del self._starts_at[index]
                self._replace(index)

    def _replace(self, index: int) -> None:
        try:
            self._start(index)
        except OSError as error:
            self._schedule(index, f"worker {index} cannot be started: {error}")

    def _on_ready(self, index: int, greeting: str) -> None:
        self._n_failed_starts.pop(index, None)
        self._workers[index].is_ready = True
        n_ready = sum(worker.is_ready for worker in self._workers.values())
        if not self._is_open and n_ready == self._settings.workers:
            self._is_open = True
            print_soon(f"{greeting}\n  workers: {n_ready}")

    def _on_failure(self, index: int, failure: Failure) -> None:
        if not self._is_open and not self._is_ending:
            raise BundleError(failure)
        logger.error("worker %d cannot load its model: %s", index, failure)

    def _check_heartbeat(self, index: int, worker: Worker) -> None:
        silence_s, hang_s = worker.silence.observe(), self._settings.hang_s
        if self._is_ending:
            if self._end_limits.is_over(time.monotonic() - self._ends_since, silence_s):
                worker.kill("has not ended in time after a signal")
            return
        if not worker.is_ready:
            hang_s *= _LOADING_FACTOR
        if silence_s >= hang_s / 3:
            self._states.write(index, State.HUNG)
        if silence_s >= hang_s:
            worker.kill(f"has hung for {silence_s:.1f} s")

    def _reap(self, index: int, worker: Worker) -> None:
        worker.process.join()
        del self._workers[index]
        self._states.write(index, State.ABSENT if self._is_open else State.STARTING)
        self._metrics.forget_gauges(index)
        if not self._is_ending:
            pid = worker.process.pid
            self._schedule(index, f"worker {index} (process {pid}) {worker.describe_end()}")

    def _schedule(self, index: int, reason: str) -> None:
        """Start a replacement after a pause, unless workers only die."""
        n_failed = self._n_failed_starts[index] = self._n_failed_starts.get(index, 0) + 1
        is_serving = self._is_open and any(worker.is_ready for worker in self._workers.values())
        if n_failed >= _MAX_FAILED_STARTS and not is_serving:
            raise WorkerError(
                f"{reason}, like the {n_failed - 1} before it; the lines above may say why"
            )
        pause_s = min(_FIRST_PAUSE_S * 2 ** (n_failed - 1), _LONGEST_PAUSE_S)
        self._starts_at[index] = time.monotonic() + pause_s
        logger.error("%s; its replacement starts in %g s", reason, pause_s)

    def _end(self, sig: int, frame: FrameType | None) -> None:
        """Shut all workers down at the first signal, kill them at the second."""
        if self._is_ending:
            if sig != signal.SIGHUP:
                for worker in self._workers.values():
                    worker.process.kill()
                flush_log()
                os._exit(128 + sig)
            return
        self._ends_since = time.monotonic()
        for worker in self._workers.values():
            worker.process.terminate()

    def _kill_all(self) -> None:
        for worker in self._workers.values():
            worker.process.kill()
            worker.process.join()
