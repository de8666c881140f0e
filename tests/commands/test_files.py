"""Files are decoded ahead, computed in batches, and come back in their order."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from service.commands.files import FileBatches
from service.errors import NotAnImage, OutOfMemory, ServiceError

BATCH_SIZE = 4


class Recorder:
    """Loads numbers from names, doubles them in batches, and records what is written."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.written: dict[int, int] = {}
        self.n_loaded = 0
        self.failing_together: ServiceError | None = None

    def load(self, path: Path) -> int:
        """Read a number."""
        self.n_loaded += 1
        if not path.name.isdigit():
            raise NotAnImage(f"{path} is no image")
        return int(path.name)

    def run(self, numbers: Sequence[int]) -> list[int | ServiceError]:
        """Compute a batch; the number 13 has an error of its own."""
        self.sizes.append(len(numbers))
        if self.failing_together and len(numbers) > 1:
            raise self.failing_together
        return [NotAnImage("13") if n == 13 else 2 * n for n in numbers]

    def write(self, index: int, number: int, result: int) -> None:
        """Record a result at its place."""
        self.written[index] = result

    def failures(self, paths: Sequence[Path]) -> list[str]:
        """Process files; the names of those that failed, after a check of the order."""
        batches = FileBatches(self.load, self.run, self.write, BATCH_SIZE)
        outcomes = list(batches.outcomes(paths))
        assert [path for path, _ in outcomes] == list(paths)
        return [path.name for path, error in outcomes if error is not None]


@pytest.mark.parametrize("n_files", [0, 1, 4, 5, 11, 12])
def test_every_file_has_its_result_and_batches_are_full(n_files: int) -> None:
    recorder = Recorder()
    assert recorder.failures([Path(str(n)) for n in range(n_files)]) == []
    assert recorder.written == {n: 2 * n for n in range(n_files)}
    assert recorder.sizes[:-1] == [BATCH_SIZE] * (len(recorder.sizes) - 1)
    assert sum(recorder.sizes) == n_files


@pytest.mark.parametrize("names", ["0 x 2 3 4", "x y z v 4", "0 1 2 3 x", "13", "0 13 2", "x"])
def test_a_file_that_fails_has_its_own_error(names: str) -> None:
    recorder, paths = Recorder(), [Path(name) for name in names.split()]
    assert recorder.failures(paths) == [n for n in names.split() if n == "13" or not n.isdigit()]
    good = [n for n, name in enumerate(names.split()) if name.isdigit() and name != "13"]
    assert sorted(recorder.written) == good


def test_files_of_a_batch_that_fails_are_computed_alone() -> None:
    recorder = Recorder()
    recorder.failing_together = OutOfMemory("too large")
    assert recorder.failures([Path(name) for name in ["0", "1", "13"]]) == ["13"]
    assert recorder.written == {0: 0, 1: 2}


def test_the_next_batch_is_decoded_while_one_is_computed_and_no_more() -> None:
    """The engine waits for the decoding of the next batch: it can only come at the same time."""
    recorder, ahead = Recorder(), threading.Event()

    def load(path: Path) -> int:
        number = recorder.load(path)
        if recorder.n_loaded >= 2 * BATCH_SIZE:
            ahead.set()
        return number

    def run(numbers: Sequence[int]) -> list[int | ServiceError]:
        if not recorder.sizes:
            assert ahead.wait(30)
            assert recorder.n_loaded == 2 * BATCH_SIZE
        return recorder.run(numbers)

    batches = FileBatches(load, run, recorder.write, BATCH_SIZE)
    assert len(list(batches.outcomes([Path(str(n)) for n in range(20)]))) == 20


def test_an_unforeseen_exception_is_raised() -> None:
    def write(index: int, number: int, result: int) -> None:
        raise RuntimeError("a defect")

    recorder = Recorder()
    batches = FileBatches(recorder.load, recorder.run, write, BATCH_SIZE)
    with pytest.raises(RuntimeError, match="a defect"):
        list(batches.outcomes([Path("1")]))
