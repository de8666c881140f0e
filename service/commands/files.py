"""Image files in batches: decoded ahead, computed together, written beside the next batch.

The contract:

- Results come in the order of the files.
- A file that fails has an error of its own; the others are not affected.
- At most four batches of decoded images are held.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from service.errors import ServiceError
from service.runtime.cores import usable_cores

Loaded = TypeVar("Loaded")
Result = TypeVar("Result")
Outcome = tuple[Path, ServiceError | None]


@dataclass(frozen=True)
class FileBatches(Generic[Loaded, Result]):
    """What is done with each file; `load` and `write` are called on other threads.

    Attributes
    ----------
    load : callable
        Reads a file; given its path.
    run : callable
        Computes a batch: a result, or an error, for each loaded file.
    write : callable
        Writes the result of a file; given its place among all files, the loaded file, its result.
    batch_size : int
        Files that are computed together.
    """

    load: Callable[[Path], Loaded]
    run: Callable[[Sequence[Loaded]], Sequence[Result | ServiceError]]
    write: Callable[[int, Loaded, Result], None]
    batch_size: int

    def outcomes(self, paths: Sequence[Path]) -> Iterator[Outcome]:
        """Process the files; yields each file with its error, or None."""
        with ThreadPoolExecutor(usable_cores(), thread_name_prefix="file") as pool:
            loading: deque[Future[Loaded]] = deque()
            written: Sequence[Future[None]] = ()
            n_submitted = 0
            for first in range(0, len(paths), self.batch_size):
                ahead = paths[n_submitted : first + 2 * self.batch_size]
                loading += [pool.submit(self.load, path) for path in ahead]
                n_submitted += len(ahead)
                batch = [loading.popleft() for _ in paths[first : first + self.batch_size]]
                computed = self._write_later(pool, first, batch)
                yield from _outcomes(paths[first - len(written) : first], written)
                written = computed
            yield from _outcomes(paths[len(paths) - len(written) :], written)

    def _write_later(
        self, pool: ThreadPoolExecutor, first: int, batch: Sequence[Future[Loaded]]
    ) -> list[Future[None]]:
        """Compute a batch, and start to write its results; a failed file has a failed future."""
        is_loaded = [future.exception() is None for future in batch]
        loaded = [future.result() for future, ok in zip(batch, is_loaded, strict=True) if ok]
        results = iter(zip(loaded, self._run(loaded), strict=True))
        return [
            pool.submit(self._write, first + n, *next(results)) if ok else _failed(future)
            for n, (future, ok) in enumerate(zip(batch, is_loaded, strict=True))
        ]

    def _run(self, loaded: Sequence[Loaded]) -> Sequence[Result | ServiceError]:
        if not loaded:
            return []
        try:
            return self.run(loaded)
        except ServiceError as error:
            if len(loaded) == 1:
                return [error]
        return [outcome for one in loaded for outcome in self._run([one])]

    def _write(self, index: int, loaded: Loaded, result: Result | ServiceError) -> None:
        if isinstance(result, ServiceError):
            raise result
        self.write(index, loaded, result)


def _failed(future: Future[Loaded]) -> Future[None]:
    failed: Future[None] = Future()
    failed.set_exception(future.exception())
    return failed


def _outcomes(paths: Sequence[Path], written: Sequence[Future[None]]) -> Iterator[Outcome]:
    for path, future in zip(paths, written, strict=True):
        error = future.exception()
        if error is not None and not isinstance(error, ServiceError):
            raise error
        yield path, error
