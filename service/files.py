"""Reading of files that users name: regular files only, and none larger than a bound. A leaf.

A device such as `/dev/zero` has no end, and a named pipe may have no writer: reading either would
not return.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def read_file(path: Path, max_bytes: int) -> bytes:
    """Read a regular file of at most `max_bytes`.

    Raises
    ------
    OSError
        It cannot be read, is not a regular file, or is larger; `strerror` says why.
    """
    with _opened(path) as file:
        n_bytes = _checked_size(file, max_bytes)
        content = file.read(n_bytes + 1)
    if len(content) > n_bytes:
        raise OSError(errno.EBUSY, "it grows while it is read")
    return content


def check_file(path: Path, max_bytes: int) -> None:
    """Check that `read_file` would read a file, without reading it.

    Raises
    ------
    OSError
        As in `read_file`.
    """
    with _opened(path) as file:
        _checked_size(file, max_bytes)


def _opened(path: Path) -> BinaryIO:
    return open(path, "rb", opener=_open_without_waiting)  # Path.open has no opener


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # opening a pipe would wait for a writer


def _checked_size(file: BinaryIO, max_bytes: int) -> int:
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is a device, a pipe or a socket; save it as a file first")
    if status.st_size > max_bytes:
        raise OSError(
            errno.EFBIG, f"it has {status.st_size:,} bytes, and at most {max_bytes:,} are read"
        )
    return status.st_size
