"""Memory that processes share. A leaf.

It is anonymous (`memfd_create`): no disk can fill up beneath it, and it is gone with the last of
its processes, however they end.
"""

from __future__ import annotations

import mmap
import os
import weakref
from multiprocessing.reduction import DupFd
from typing import Any


class MemoryFile:
    """A file in memory, whose descriptor reaches the processes that `multiprocessing` spawns.

    Parameters
    ----------
    fd : int
        Its file descriptor, which is closed with this object.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        weakref.finalize(self, os.close, fd)

    @classmethod
    def create(cls, size: int) -> MemoryFile:
        """Create a file of so many bytes, which are 0."""
        file = cls(os.memfd_create("lrpserve"))
        os.ftruncate(file.fd, size)
        return file

    def __reduce__(self) -> tuple[object, ...]:
        return _receive, (DupFd(self.fd),)  # only while a process is spawned


def _receive(sent: Any) -> MemoryFile:
    return MemoryFile(sent.detach())


class SharedBytes:
    """Bytes that several processes read and write, each of which needs no lock.

    Parameters
    ----------
    file : MemoryFile
        Has the bytes.
    """

    def __init__(self, file: MemoryFile) -> None:
        self._file, self._map = file, mmap.mmap(file.fd, 0)

    def __reduce__(self) -> tuple[object, ...]:
        return SharedBytes, (self._file,)

    def __getitem__(self, index: int) -> int:
        return self._map[index]

    def __setitem__(self, index: int, value: int) -> None:
        self._map[index] = value
