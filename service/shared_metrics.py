"""Metrics of several worker processes, in memory that they share.

`prometheus_client` keeps the values of several processes in files of a folder, and merges them.
The files are put into memory here: a full disk would end all workers by SIGBUS, and a process that
is killed would leave them behind. A file belongs to a slot, so a replacement goes on counting.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric, multiprocess, values
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from service.shared_memory import MemoryFile

_FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_FOLDER = "memory"  # a name, not a path
_LIVE = "gauge_livesum"
_KINDS = ("counter", "histogram", _LIVE)  # of file, by the types of the metrics
_FILE_SIZE = 1 << 16  # as that of `prometheus_client`; it grows
_files: dict[str, MemoryFile] = {}  # of all workers, by the names that `prometheus_client` gives


class SharedMetrics:
    """The files of all workers; made by the supervisor, before it starts them.

    Parameters
    ----------
    n_workers : int
        Number of workers.
    """

    def __init__(self, n_workers: int) -> None:
        self._files = {
            _name(kind, worker): MemoryFile.create(_FILE_SIZE)
            for worker in range(n_workers)
            for kind in _KINDS
        }

    def use(self, worker: int) -> None:
        """Keep the metrics of this process, that of a worker, in its files from now on."""
        _files.update(self._files)
        os.environ[_FOLDER_VARIABLE] = _FOLDER
        values.MmapedDict = multiprocess.MmapedDict = _MemoryDict  # type: ignore[attr-defined,assignment]
        values.ValueClass = values.MultiProcessValue(lambda: worker)  # type: ignore[no-untyped-call]

    def forget_gauges(self, worker: int) -> None:
        """Leave the gauges of a worker that has died out of the sums."""
        n_used = bytes(4)
        os.pwrite(self._files[_name(_LIVE, worker)].fd, n_used, 0)


class _MemoryDict(MmapedDict):
    """A dictionary of `prometheus_client` in one of the files."""

    def __init__(self, filename: str) -> None:
        fd = os.dup(_files[Path(filename).name].fd)
        super().__init__(fd)  # type: ignore[no-untyped-call]

    @staticmethod
    def read_all_values_from_file(filename: str) -> Iterable[tuple[str, float, float, int]]:
        fd = _files[filename].fd  # opened anew: a descriptor's offset is shared
        read = MmapedDict.read_all_values_from_file
        values: Iterable[tuple[str, float, float, int]] = read(f"/proc/self/fd/{fd}")  # type: ignore[no-untyped-call]
        return values


class _SharedCollector(Collector):
    def collect(self) -> Iterable[Metric]:
        metrics: Sequence[Metric] = MultiProcessCollector.merge(list(_files))  # type: ignore[no-untyped-call]
        return metrics


def shared_registry() -> CollectorRegistry | None:
    """Return the registry of the metrics of all workers; None in a process of its own."""
    if not _files:
        return None
    registry = CollectorRegistry()
    registry.register(_SharedCollector())
    return registry


def _name(kind: str, worker: int) -> str:
    return f"{kind}_{worker}.db"
