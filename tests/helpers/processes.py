"""Processes that a process has started, and the memory of all of them, from /proc."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PROC = Path("/proc")


def descendants(pid: int) -> list[int]:
    """The processes that a process has started, and those that they have."""
    parents: dict[int, int] = {}
    for folder in _PROC.iterdir():
        if folder.name.isdecimal():
            with suppress(OSError):
                state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
                if state != "Z":
                    parents[int(folder.name)] = int(parent)
    children = [child for child, parent in parents.items() if parent == pid]
    return children + [each for child in children for each in descendants(child)]


def anonymous_bytes(pid: int) -> int:
    """Memory of a process without files, which others may have in memory too."""
    rollup = (_PROC / str(pid) / "smaps_rollup").read_text()
    (line,) = [line for line in rollup.splitlines() if line.startswith("Anonymous:")]
    return 1024 * int(line.split()[1])


def worker_pids(pid: int) -> list[int]:
    """The worker processes of a server."""
    found = []
    for child in (_PROC / str(pid) / "task" / str(pid) / "children").read_text().split():
        with suppress(OSError):  # it has just ended
            if "spawn_main" in (_PROC / child / "cmdline").read_text():
                found.append(int(child))
    return found


def memory_bytes(pid: int) -> int:
    """Resident memory of a process and its descendants."""
    return sum(resident_bytes(each) for each in (pid, *descendants(pid)))


def resident_bytes(pid: int) -> int:
    """Resident memory of a process alone; 0 when it has ended."""
    with suppress(OSError):
        return int((_PROC / str(pid) / "statm").read_text().split()[1]) * 4096
    return 0


class Peak:
    """The largest memory that was seen."""

    n_bytes = 0


@contextmanager
def watched_memory(pid: int) -> Iterator[Peak]:
    """Watch the memory of a process and its descendants during a block."""
    peak, has_ended = Peak(), threading.Event()

    def watch() -> None:
        while not has_ended.is_set():
            peak.n_bytes = max(peak.n_bytes, memory_bytes(pid))
            time.sleep(0.05)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        has_ended.set()
        thread.join()
