"""Writing that a kill or a loss of power leaves whole: a file is there complete, or not at all."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SUFFIX = ".incomplete"


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A path to write to, which becomes `path` on success; what was there before is replaced."""
    incomplete = path.with_name(f"{path.name}{_SUFFIX}")
    yield incomplete
    sync(incomplete)
    incomplete.replace(path)
    sync(path.parent)


def write_file(path: Path, content: bytes) -> None:
    """Write a file as `replaced` does."""
    with replaced(path) as incomplete:
        incomplete.write_bytes(content)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_filesystem(path: Path) -> None:
    """Wait until everything in a file system is on the disk: cheaper than to sync many files."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
            raise OSError(ctypes.get_errno(), f"cannot sync {path}")
    finally:
        os.close(descriptor)
