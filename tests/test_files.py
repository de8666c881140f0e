"""Files that users name: regular ones are read, all others are refused at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from service.files import check_file, read_file


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_loop(path: Path) -> None:
    path.symlink_to(path)


def make_sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 2**40)


REFUSED = [
    (make_pipe, "it is a device, a pipe or a socket"),
    (make_loop, "Too many levels of symbolic links"),
    (make_sparse, "it has 1,099,511,627,776 bytes, and at most 100 are read"),
    (Path.mkdir, "Is a directory"),
    (lambda path: path.symlink_to("/dev/zero"), "it is a device"),
    (lambda path: path.write_bytes(bytes(101)), "it has 101 bytes"),
    (lambda path: None, "No such file"),
]


@pytest.mark.parametrize(("make", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_what_cannot_be_read_whole_is_refused(tmp_path: Path, make: Any, said: str) -> None:
    path = tmp_path / "file"
    make(path)
    for read in (read_file, check_file):
        with pytest.raises(OSError) as refused:  # noqa: PT011  # strerror is compared
            read(path, 100)
        assert said in str(refused.value.strerror)


def test_a_file_of_the_largest_size_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    check_file(path, 100)
    assert read_file(path, 100) == b"x" * 100


def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    assert read_file(tmp_path / "link", 100) == b"content"


def test_a_file_that_grows_is_refused() -> None:
    with pytest.raises(OSError, match="it grows while it is read"):
        read_file(Path("/proc/self/status"), 100)  # its size is said to be 0
