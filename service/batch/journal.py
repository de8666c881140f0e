"""The journal of a batch job: what it is, and which of its parts are written.

It is a folder beside the output, `OUTPUT.job`, with

- `job.json`: the identity of the job, written once;
- `parts.jsonl`: a line for each part that is written, in their order;
- `lock`: locked by the process that works on the job.

The contract: a part has a line only after its results are on the disk. A part without a line is
computed again, and its results replace those that are there.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from service.batch.durable import sync, write_file
from service.batch.errors import JobMismatch, OutputError

_JOB, _PARTS, _LOCK = "job.json", "parts.jsonl", "lock"
_MAX_SHOWN = 200  # characters of a value


@dataclass(frozen=True)
class Failure:
    """An image without an explanation."""

    index: int
    path: str | None
    type: str
    detail: str


@dataclass(frozen=True)
class Part:
    """A part of a job that is written.

    Attributes
    ----------
    n_images : int
        Its images, those that failed included.
    failures : sequence of Failure
        Those that failed.
    """

    n_images: int
    failures: Sequence[Failure]


class Journal:
    """The journal of the job that writes an output.

    Parameters
    ----------
    output : Path
        The output.

    Raises
    ------
    OutputError
        Another process works on the job, or the output, or its folder, is there but not of a job.
    """

    def __init__(self, output: Path) -> None:
        self.output, self.folder = output, output.with_name(f"{output.name}.job")
        self._check_folder()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise OutputError(f"cannot make {self.folder}: {error.strerror}") from error
        self._take_lock()
        self.is_resumed = (self.folder / _JOB).exists() and output.exists()
        if not self.is_resumed:
            self._check_free()
            self._clear()
        self.n_parts = self.n_images = self.n_failed = 0
        for part in self.parts():
            self._count(part)

    def _check_folder(self) -> None:
        """Refuse a folder that is not a job's, as it would be cleared."""
        names = [path.name for path in self.folder.iterdir()] if self.folder.is_dir() else []
        if names and _LOCK not in names:
            raise OutputError(f"{self.folder} is not a job's; give another --output")

    def _take_lock(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_removed = os.fstat(self._lock).st_nlink == 0  # by a process that ended just now
        except BlockingIOError:
            is_removed = True
        if is_removed:
            os.close(self._lock)
            raise OutputError(f"another process is writing {self.output}")

    def _check_free(self) -> None:
        """Refuse an output that is there and not of this job; an empty folder is free."""
        output = self.output
        is_empty = output.is_dir() and not any(output.iterdir())
        if output.exists() and not is_empty:
            self.close()
            raise OutputError(
                f"{output} exists, and is not the output of a job that can be resumed; "
                "give another --output, or delete it"
            )

    def _clear(self) -> None:
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != _LOCK:
                path.unlink()

    def begin(self, identity: Mapping[str, Any]) -> None:
        """Write the identity of a new job, or compare it with that of the job that is resumed.

        Raises
        ------
        JobMismatch
            The output is of a job with other options, another model or other images.
        """
        path = self.folder / _JOB
        if not self.is_resumed:
            write_file(path, json.dumps(identity, indent=1).encode())
            return
        earlier = json.loads(path.read_bytes())
        now = json.loads(json.dumps(identity))
        names = [name for name in {**earlier, **now} if earlier.get(name) != now.get(name)]
        if names:
            changes = (
                f"{name} was {_shown(earlier.get(name))}, and is now {_shown(now.get(name))}"
                for name in names
            )
            raise JobMismatch(
                f"{self.output} is the output of another job: {'; '.join(changes)}. Give the same "
                f"options to resume it, or another --output; or delete it and {self.folder}"
            )

    def parts(self) -> Iterator[Part]:
        """The parts that are written, in their order; a line that was cut off is removed."""
        path = self.folder / _PARTS
        if not path.exists():
            return
        with path.open("rb+") as file:
            n_bytes = 0
            for line in file:
                if not line.endswith(b"\n"):
                    file.truncate(n_bytes)
                    return
                n_bytes += len(line)
                fields = json.loads(line)
                yield Part(fields["n_images"], [Failure(**each) for each in fields["failures"]])

    def failures(self) -> Iterator[Failure]:
        """The images that failed, in their order."""
        for part in self.parts():
            yield from part.failures

    def commit(self, part: Part) -> None:
        """Add a part, whose results are on the disk."""
        path = self.folder / _PARTS
        is_new = not path.exists()
        with path.open("ab") as file:
            file.write(json.dumps(asdict(part)).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            sync(self.folder)
        self._count(part)

    def _count(self, part: Part) -> None:
        self.n_parts += 1
        self.n_images += part.n_images
        self.n_failed += len(part.failures)

    def close(self) -> None:
        """Let other processes work on the job; one that has not begun leaves nothing behind."""
        if not (self.folder / _JOB).exists():
            shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
