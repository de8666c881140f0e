"""Lists of paths on disk: sorted, and read again, without holding them in memory."""

from __future__ import annotations

import heapq
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from service.batch.durable import replaced

_RUN = 100_000  # paths that are sorted in memory at a time


def write_list(paths: Iterable[str], target: Path) -> int:
    """Write a list in the order that is given; returns the number of paths."""
    with replaced(target) as incomplete:
        return _write(map(json.dumps, paths), incomplete)


def write_sorted(paths: Iterable[str], target: Path) -> int:
    """Write a sorted list; returns the number of paths. Memory does not grow with it."""
    lines = map(json.dumps, paths)
    runs: list[Path] = []
    while run := sorted(islice(lines, _RUN)):
        runs.append(target.with_name(f"{target.name}.run-{len(runs)}"))
        _write(run, runs[-1])
    with replaced(target) as incomplete, ExitStack() as opened:
        files = [opened.enter_context(run.open(encoding="ascii")) for run in runs]
        merged = (line.rstrip("\n") for line in heapq.merge(*files))
        n_paths = _write(merged, incomplete)
    for path in runs:
        path.unlink()
    return n_paths


def read_list(path: Path, first: int = 0) -> Iterator[str]:
    """Read a list, from the path with the index `first`."""
    with path.open(encoding="ascii") as file:
        yield from map(json.loads, islice(file, first, None))


def count_list(path: Path) -> int:
    """Count the paths of a list."""
    with path.open("rb") as file:
        return sum(1 for _ in file)


def printable(path: str) -> str:
    """A path as valid Unicode: bytes that are not UTF-8 are shown as escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _write(lines: Iterable[str], path: Path) -> int:
    """Write JSON strings in ASCII, a line each: names may have line breaks, and any bytes."""
    n_lines = 0
    with path.open("w", encoding="ascii") as file:
        for line in lines:
            file.write(f"{line}\n")
            n_lines += 1
    return n_lines
