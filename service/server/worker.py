"""A worker process: it serves, and sends its supervisor what happened at its start."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from service.errors import ServiceError
from service.logs import configure_logging, flush_log
from service.server.process import WORKER_SIGNALS, run_server
from service.server.watchdog import Silence
from service.settings import Settings
from service.shared_metrics import SharedMetrics
from service.worker_state import WorkerSlot

logger = logging.getLogger(__name__)

_FAILED = 2
_spawning = get_context("spawn")  # a fork would copy the locks of threads


class Ready(str):
    """The message of a worker that is ready: its greeting."""

    __slots__ = ()


class Failure(str):
    """The message of a worker that cannot load its models: the reason."""

    __slots__ = ()


@dataclass
class Worker:
    """A worker process, as its supervisor sees it.

    Attributes
    ----------
    messages : Connection
        The pipe of its messages.
    silence : Silence
        How long it has not beaten.
    """

    process: SpawnProcess
    messages: Connection
    silence: Silence
    is_ready: bool = False
    is_killed: bool = False

    def kill(self, reason: str) -> None:
        """Kill the process, and say why, once."""
        if not self.is_killed:
            self.is_killed = True
            logger.error("process %d %s, and is killed", self.process.pid, reason)
            self.process.kill()

    def read(self) -> object:
        """Return the next message, or None."""
        try:
            return self.messages.recv() if self.messages.poll() else None
        except EOFError:
            return None

    def describe_end(self) -> str:
        """Describe the exit status of a process that has ended."""
        status = self.process.exitcode or 0
        if status >= 0:
            return f"exited with status {status}"
        return f"was killed by {signal.Signals(-status).name}"


def start_worker(
    settings: Settings,
    listeners: Sequence[socket.socket],
    slot: WorkerSlot,
    metrics: SharedMetrics,
) -> Worker:
    """Start a worker.

    Raises
    ------
    OSError
        The system has no process or no file for it.
    """
    reader, writer = _spawning.Pipe(duplex=False)
    process = _spawning.Process(target=_work, args=(settings, listeners, slot, metrics, writer))
    try:
        _start_without_interrupts(process)
    finally:
        writer.close()
    return Worker(process, reader, Silence(slot.beats))


def _start_without_interrupts(process: SpawnProcess) -> None:
    """Start a process that blocks SIGINT."""
    resource_tracker.ensure_running()  # it unblocks the signal when it starts
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _work(
    settings: Settings,
    listeners: Sequence[socket.socket],
    slot: WorkerSlot,
    metrics: SharedMetrics,
    messages: Connection,
) -> None:
    """Run a worker, in its own process."""
    configure_logging(settings.log_format, settings.log_level)
    _end_with_parent()
    metrics.use(slot.worker)
    try:
        run_server(
            *(settings, listeners, lambda greeting: messages.send(Ready(greeting))),
            *(slot, WORKER_SIGNALS),
        )
    except ServiceError as error:
        _fail(messages, error.detail)
    except Exception as error:  # noqa: BLE001  the supervisor says it
        _fail(messages, f"a worker cannot start: {type(error).__name__}: {error}")


def _fail(messages: Connection, reason: str) -> None:
    messages.send(Failure(reason))
    flush_log()
    os._exit(_FAILED)  # at the end of an interpreter some libraries print what they leaked


def _end_with_parent() -> None:
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            wait([parent.sentinel])
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()
