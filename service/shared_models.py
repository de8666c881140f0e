"""The models that all worker processes serve, in memory that they share.

The contract:

- There is one list of models for all workers, with a generation: the number of its changes. Each
  worker follows it, and acknowledges the generation that it has reached, with what it could not
  load.
- One worker at a time changes the list (`try_begin`). If it dies the system ends its operation.
- Before the first worker has loaded its models there is no list: its generation is 0.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from service.shared_memory import MemoryFile

_NUMBER_BYTES = 8  # the generation, at the start; the length of each text, before it
_LIST_START, _LIST_BYTES = _NUMBER_BYTES, 1 << 20  # paths and hashes of thousands of models
_WORKER_BYTES = 1 << 16
_LIST_LOCK, _OPERATION_LOCK = 0, 1  # bytes of the file that are locked


@dataclass(frozen=True)
class SharedModel:
    """A model of the list.

    Attributes
    ----------
    folder : str
        Of its bundle.
    version : str
        Digest of its card.
    """

    folder: str
    version: str


@dataclass(frozen=True)
class ModelList:
    """The models to serve, by name."""

    generation: int = 0
    models: Mapping[str, SharedModel] = field(default_factory=dict)


@dataclass(frozen=True)
class Acknowledgement:
    """How far a worker has followed the list.

    Attributes
    ----------
    failures : mapping of str to str
        Why models could not be loaded, by name: it serves them as they were before.
    """

    generation: int = 0
    failures: Mapping[str, str] = field(default_factory=dict)


class SharedModels:
    """The list of models, and the acknowledgements of the workers.

    It reaches the processes that `multiprocessing` spawns.

    Parameters
    ----------
    n_workers : int
        Number of worker processes.
    """

    def __init__(self, n_workers: int) -> None:
        # pages that are never written take no memory
        self._open(MemoryFile.create(_place(n_workers)))

    def _open(self, file: MemoryFile) -> None:
        self._file, self._map = file, mmap.mmap(file.fd, 0)
        # locks of the file are between processes, these are between the threads of one
        self._access, self._operation = threading.Lock(), threading.Lock()

    def __getstate__(self) -> MemoryFile:
        return self._file

    def __setstate__(self, file: MemoryFile) -> None:
        self._open(file)

    @property
    def generation(self) -> int:
        """The generation of the list, which may be read often."""
        return int.from_bytes(self._map[:_NUMBER_BYTES], "little")

    def read(self) -> ModelList:
        """Read the list."""
        fields = self._read(_LIST_START)
        models = {name: SharedModel(**model) for name, model in fields.get("models", {}).items()}
        return ModelList(fields.get("generation", 0), models)

    def publish(self, models: Mapping[str, SharedModel]) -> int:
        """Replace the list, in an operation; return its generation."""
        generation = self.read().generation + 1
        listed = {name: vars(model) for name, model in models.items()}
        self._write(_LIST_START, _LIST_BYTES, {"generation": generation, "models": listed})
        self._map[:_NUMBER_BYTES] = generation.to_bytes(_NUMBER_BYTES, "little")
        return generation

    def acknowledge(self, worker: int, acknowledged: Acknowledgement) -> None:
        """Say how far a worker has followed."""
        self._write(_place(worker), _WORKER_BYTES, vars(acknowledged))

    def acknowledged(self, worker: int) -> Acknowledgement:
        """How far a worker has followed."""
        return Acknowledgement(**self._read(_place(worker)))

    def try_begin(self) -> bool:
        """Begin an operation, unless one is running in any process."""
        if not self._operation.acquire(blocking=False):
            return False
        try:
            fcntl.lockf(self._file.fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _OPERATION_LOCK)
        except OSError:
            self._operation.release()
            return False
        return True

    def end(self) -> None:
        """End the operation that this process has begun."""
        fcntl.lockf(self._file.fd, fcntl.LOCK_UN, 1, _OPERATION_LOCK)
        self._operation.release()

    def _read(self, start: int) -> dict[str, Any]:
        with self._locked():
            length = int.from_bytes(self._map[start : start + _NUMBER_BYTES], "little")
            text = self._map[start + _NUMBER_BYTES : start + _NUMBER_BYTES + length]
        fields: dict[str, Any] = json.loads(text or "{}")
        return fields

    def _write(self, start: int, size: int, fields: Mapping[str, Any]) -> None:
        text = json.dumps(fields).encode()
        if len(text) > size - _NUMBER_BYTES:
            raise ValueError(f"{len(text)} bytes about models do not fit into {size}")
        with self._locked():
            written = len(text).to_bytes(_NUMBER_BYTES, "little") + text
            self._map[start : start + len(written)] = written

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._access:
            fcntl.lockf(self._file.fd, fcntl.LOCK_EX, 1, _LIST_LOCK)
            try:
                yield
            finally:
                fcntl.lockf(self._file.fd, fcntl.LOCK_UN, 1, _LIST_LOCK)


def _place(worker: int) -> int:
    return _LIST_START + _LIST_BYTES + worker * _WORKER_BYTES
