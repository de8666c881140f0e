"""Lines for standard error, written by a thread: no full disk or pipe stops a request.

The contract:

- `put` never waits, and does not raise. It may be called by a signal handler.
- Lines are written in their order. Where standard error is not read, the oldest `MAX_LINES` wait,
  and further ones are dropped; lines that cannot be written are dropped, too.
- The number of dropped lines is written as soon as lines can be written again.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable
from queue import SimpleQueue

MAX_LINES = 10_000


class LineWriter:
    """Writes lines to a file descriptor.

    Parameters
    ----------
    fd : int
        The file descriptor.
    describe_dropped : callable
        Makes a line from a number of dropped lines.
    """

    def __init__(self, fd: int, describe_dropped: Callable[[int], str]) -> None:
        self._fd, self._describe_dropped = fd, describe_dropped
        self._queue: SimpleQueue[str | threading.Event] = SimpleQueue()
        self._n_dropped = 0
        self._lock = threading.RLock()  # of that number; a signal handler may interrupt its holder
        self._is_cut = False  # whether a line was written in part
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def put(self, line: str) -> None:
        """Write a line, without its line break, some time soon."""
        if self._queue.qsize() < MAX_LINES:
            self._queue.put(line)
        else:
            self._add_dropped(1)

    def flush(self, timeout_s: float) -> None:
        """Wait until all lines are written, or until the time is up."""
        is_written = threading.Event()
        self._queue.put(is_written)
        is_written.wait(timeout_s)

    def _run(self) -> None:
        while True:
            batch, events = self._next_batch()
            if batch:
                self._write(batch)
            for event in events:
                event.set()

    def _next_batch(self) -> tuple[list[bytes], list[threading.Event]]:
        """Wait for a line; take those that fit into one write, which no other process splits."""
        batch, events, size = [], [], 0
        while size < select.PIPE_BUF // 2:
            item = self._queue.get()
            if isinstance(item, threading.Event):
                events.append(item)
            else:
                batch.append(f"{item}\n".encode("utf-8", "backslashreplace"))
                size += len(batch[-1])
            if self._queue.empty():
                break
        return batch, events

    def _write(self, batch: list[bytes]) -> None:
        n_dropped = self._n_dropped
        report = [f"{self._describe_dropped(n_dropped)}\n".encode()] if n_dropped else []
        content = b"".join([b"\n" * self._is_cut, *report, *batch])
        n_written = 0
        try:
            while n_written < len(content):
                n_written += self._write_some(memoryview(content)[n_written:])
        except OSError:  # the disk is full, or nobody is left to read
            self._add_dropped(len(batch))
        else:
            self._add_dropped(-n_dropped)
        if n_written:
            self._is_cut = n_written < len(content)

    def _write_some(self, content: memoryview) -> int:
        try:
            return os.write(self._fd, content)
        except BlockingIOError:  # whoever started the process has set it so
            select.select([], [self._fd], [])
            return 0

    def _add_dropped(self, n: int) -> None:
        with self._lock:
            self._n_dropped += n
