"""Sources of a batch job: a folder of images, or a list of paths.

The contract of every source: the images have one order, which is the same when a job is resumed;
memory does not grow with their number; and a folder or a list is read once, when the job begins.
"""

from __future__ import annotations

import hashlib
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from service.batch.errors import InputError
from service.batch.images import ImageKey, SourceImage
from service.batch.listing import count_list, printable, read_list, write_list, write_sorted
from service.imaging.formats import SUFFIXES

STANDARD_INPUT = "-"
_LIST_FILE = "images.jsonl"


class Source(ABC):
    """Images in an order.

    Attributes
    ----------
    identity : mapping of str to str or int
        What makes it the same source when a job is resumed.
    n_images : int
        Number of images.
    """

    identity: Mapping[str, str | int]
    n_images: int

    @abstractmethod
    def images(self, first: int) -> Iterator[SourceImage]:
        """The images, from that with the index `first`."""

    @abstractmethod
    def file_name(self, key: ImageKey) -> str:
        """A relative path for the files of an image, which no other image has."""


class FolderSource(Source):
    """The image files in a folder and its sub-folders, sorted by path.

    Hidden files and folders are left out, and links to folders are not followed. A folder that is
    named after a class says that its images are of that class.

    Parameters
    ----------
    folder : Path
        The folder.
    state : Path
        Folder in which the list is kept.
    labels : sequence of str
        The model's classes.
    excluded : Path
        A folder that is left out: the output may be in the input.
    """

    def __init__(self, folder: Path, state: Path, labels: Sequence[str], excluded: Path) -> None:
        self.identity = {"input": str(folder.resolve())}
        self._folder, self._list = folder, state / _LIST_FILE
        self._labels = {label: index for index, label in enumerate(labels)}
        if self._list.exists():
            self.n_images = count_list(self._list)
            return
        self.n_images = write_sorted(_walk(folder, excluded.resolve()), self._list)

    def images(self, first: int) -> Iterator[SourceImage]:
        """The images, from that with the index `first`."""
        for index, path in enumerate(read_list(self._list, first), first):
            label = self._labels.get(os.path.basename(os.path.dirname(path)))  # noqa: PTH119, PTH120  millions
            yield SourceImage(ImageKey(index, printable(path), label), self._folder / path)

    def file_name(self, key: ImageKey) -> str:
        """The path in the folder."""
        return str(key.path)


class ListSource(Source):
    """The image files that a text file lists, one path a line, relative to the present folder.

    Parameters
    ----------
    file : BinaryIO
        The list, in UTF-8; empty lines are left out.
    state : Path
        Folder in which a copy is kept.
    """

    def __init__(self, file: BinaryIO, state: Path) -> None:
        self._list = state / _LIST_FILE
        digest = hashlib.sha256()
        self.n_images = write_list(_lines(file, digest.update), self._list)
        self.identity = {"input_sha256": digest.hexdigest()}

    def images(self, first: int) -> Iterator[SourceImage]:
        """The images, from that with the index `first`."""
        for index, path in enumerate(read_list(self._list, first), first):
            yield SourceImage(ImageKey(index, printable(path)), Path(path))

    def file_name(self, key: ImageKey) -> str:
        """The number of its line, from 0, and its name: a list may have a path more than once."""
        return f"{key.index:09d}-{Path(str(key.path)).name}"


def check_exists(given: str) -> None:
    """Refuse an input that is not there, before anything else is done.

    Raises
    ------
    InputError
        There is no such file or folder.
    """
    if given != STANDARD_INPUT and not Path(given).exists():
        raise InputError(f"there is no file or folder {given}")


def open_list(given: str, state: Path) -> ListSource:
    """Open a list of paths; `-` is standard input.

    Raises
    ------
    InputError
        The list cannot be read, or is no list.
    """
    if given == STANDARD_INPUT:
        return ListSource(sys.stdin.buffer, state)
    try:
        with Path(given).open("rb") as file:
            return ListSource(file, state)
    except OSError as error:
        raise InputError(f"the list {given} cannot be read: {error.strerror}") from error


def _walk(folder: Path, excluded: Path) -> Iterator[str]:
    """Paths of images, relative to the folder, in no order."""
    top = os.fspath(folder)
    for parent, folders, files in os.walk(top, onerror=_raise):
        inside = os.path.relpath(parent, top)
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and Path(parent, name).resolve() != excluded
        ]
        for name in files:
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                yield name if inside == "." else f"{inside}/{name}"


def _raise(error: OSError) -> None:
    raise InputError(f"the folder {error.filename} cannot be read: {error.strerror}") from error


def _lines(file: Iterable[bytes], update: Callable[[bytes], object]) -> Iterator[str]:
    for line in file:
        update(line)
        if b"\0" in line:
            raise InputError(
                "the input is not a text file with a path on each line; it may also be a folder or "
                "a Parquet file, and a single image is given without --input"
            )
        if path := line.strip(b"\r\n"):
            yield os.fsdecode(path)
