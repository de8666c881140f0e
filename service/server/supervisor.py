"""The parent process of several workers. It handles no requests, and needs no torch.

The contract:

- All workers accept connections from the same listening sockets, open while any of them lives.
- A worker that dies is replaced. Its requests fail at once, as its connections are closed; its
  replacement accepts connections when its models are loaded, as the others serve meanwhile.
- A model that cannot be loaded at the start ends all workers, with its error. Later, a replacement
  is started again and again, with growing pauses.
- The first signal shuts all workers down gracefully, the second one kills them.
- Workers do not outlive the parent.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import FrameType

import typer
from prometheus_client.multiprocess import mark_process_dead

from service.errors import BundleError, ServiceError
from service.logs import configure_logging
from service.metrics import FOLDER_VARIABLE
from service.server.process import SIGNALS, run_server
from service.settings import Settings
from service.worker_state import State, WorkerSlot, WorkerStates

logger = logging.getLogger(__name__)

_TICK_S = 0.1
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_spawning = get_context("spawn")  # a fork would copy the locks of threads


class _Ready(str):
    """The message of a worker that is ready: its greeting."""

    __slots__ = ()


class _Failure(str):
    """The message of a worker that cannot load its models: the reason."""

    __slots__ = ()


@dataclass
class _Worker:
    """A process, and the pipe of its messages."""

    process: SpawnProcess
    messages: Connection

    def read(self) -> object:
        try:
            return self.messages.recv() if self.messages.poll() else None
        except EOFError:
            return None


class Supervisor:
    """Starts workers, replaces those that die, and shuts them down.

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
        self._workers: dict[int, _Worker] = {}
        self._starts_at: dict[int, float] = {}  # of replacements that wait
        self._pauses_s: dict[int, float] = {}
        self._ready: set[int] = set()
        self._is_open = False  # whether all workers have been ready once
        self._is_ending = False

    def run(self) -> None:
        """Run the workers until a signal comes.

        Raises
        ------
        ServiceError
            A model cannot be loaded.
        """
        with _metrics_folder() as self._metrics_folder, self._captured_signals():
            for index in range(self._settings.workers):
                self._start(WorkerSlot(self._states, index))
            try:
                while self._workers or not self._is_ending:
                    time.sleep(_TICK_S)
                    self._check_workers()
            finally:
                for worker in self._workers.values():
                    worker.process.kill()
                    worker.process.join()

    def _start(self, slot: WorkerSlot) -> None:
        reader, writer = _spawning.Pipe(duplex=False)
        arguments = (self._settings, self._listeners, slot, writer)
        process = _spawning.Process(target=_work, args=arguments)
        with _interrupts_held():
            process.start()
        writer.close()
        self._workers[slot.worker] = _Worker(process, reader)
        if self._is_ending:  # the signal came before the process was there
            process.terminate()

    def _check_workers(self) -> None:
        for index, worker in list(self._workers.items()):
            is_alive, message = worker.process.is_alive(), worker.read()
            if isinstance(message, _Ready):
                self._on_ready(index, message)
            if isinstance(message, _Failure):
                self._on_failure(index, message)
            if not is_alive:
                self._reap(index, worker)
        for index, starts_at in list(self._starts_at.items()):
            if starts_at <= time.monotonic() and not self._is_ending:
                del self._starts_at[index]
                self._start(WorkerSlot(self._states, index, is_replacement=self._is_open))

    def _on_ready(self, index: int, greeting: str) -> None:
        self._pauses_s.pop(index, None)
        self._ready.add(index)
        if not self._is_open and len(self._ready) == self._settings.workers:
            self._is_open = True
            typer.echo(f"{greeting}\n  workers: {len(self._workers)}", err=True)

    def _reap(self, index: int, worker: _Worker) -> None:
        worker.process.join()
        del self._workers[index]
        self._ready.discard(index)
        self._states.write(index, State.ABSENT if self._is_open else State.STARTING)
        mark_process_dead(worker.process.pid, self._metrics_folder)  # type: ignore[no-untyped-call]
        if self._is_ending:
            return
        pause_s = self._pauses_s.get(index, _FIRST_PAUSE_S)
        self._pauses_s[index] = min(2 * pause_s, _LONGEST_PAUSE_S)
        self._starts_at[index] = time.monotonic() + pause_s
        logger.error(
            "worker %d (process %d) exited with status %s; its replacement starts in %g s",
            *(index, worker.process.pid, worker.process.exitcode, pause_s),
        )

    def _on_failure(self, index: int, failure: _Failure) -> None:
        if not self._is_open and not self._is_ending:
            self._is_ending = True
            raise BundleError(failure)
        logger.error("worker %d cannot load its model: %s", index, failure)

    def _end(self, sig: int, frame: FrameType | None) -> None:
        """Shut all workers down at the first signal, kill them at the second."""
        if self._is_ending:
            for worker in self._workers.values():
                worker.process.kill()
            os._exit(128 + sig)
        self._is_ending = True
        for worker in self._workers.values():
            worker.process.terminate()

    @contextmanager
    def _captured_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._end) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _work(
    settings: Settings,
    listeners: Sequence[socket.socket],
    slot: WorkerSlot,
    messages: Connection,
) -> None:
    """Run a worker, in its own process."""
    configure_logging(settings.log_format, settings.log_level)
    _end_with_parent()
    try:
        # Ctrl-C in a terminal sends SIGINT to all processes: only the parent handles it
        run_server(
            *(settings, listeners, lambda greeting: messages.send(_Ready(greeting))),
            *(slot, (signal.SIGTERM,)),
        )
    except ServiceError as error:
        messages.send(_Failure(error.detail))
        raise SystemExit(2) from None


def _end_with_parent() -> None:
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            wait([parent.sentinel])
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Block SIGINT in the processes that are started in this block."""
    resource_tracker.ensure_running()  # it unblocks the signal when it starts
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


@contextmanager
def _metrics_folder() -> Iterator[str]:
    """A temporary folder for the metrics of the workers."""
    folder = tempfile.mkdtemp(prefix="lrpserve-metrics-")
    os.environ[FOLDER_VARIABLE] = folder
    try:
        yield folder
    finally:
        del os.environ[FOLDER_VARIABLE]
        shutil.rmtree(folder, ignore_errors=True)
