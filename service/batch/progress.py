"""The progress of a batch job: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import timedelta
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from service.batch.images import ImageResult
from service.errors import ServiceError
from service.terminal import cut_middle, print_line

LINE_S = 30.0
MAX_ERRORS = 20  # that are printed


class JobProgress:
    """Shows the images that are done, images per second, and how many failed, on standard error.

    Parameters
    ----------
    clock : callable
        Seconds, as `time.monotonic` gives them.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._console = Console(stderr=True)
        self._bar = self._make_bar() if sys.stderr.isatty() else None
        self._task: TaskID | None = None
        self._stack = ExitStack()
        self.n_images = self.n_done = self.n_failed = self._n_begun = self._n_printed = 0
        self._began_s = self._line_s = clock()

    def _make_bar(self) -> Progress:
        return Progress(
            TextColumn("images"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}/s, {task.fields[n_failed]} failed,"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=self._console,
            transient=True,
        )

    def __enter__(self) -> JobProgress:
        if self._bar:
            self._stack.enter_context(self._bar)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def begin(self, n_images: int, n_done: int, n_failed: int) -> None:
        """Show that the job has begun, or is resumed."""
        self.n_images, self.n_failed = n_images, n_failed
        self.n_done = self._n_begun = n_done
        self._began_s = self._line_s = self._clock()
        if n_done:
            print_line(f"resumed: {n_done:,} of {n_images:,} images are done", is_error=True)
        if self._bar:
            self._task = self._bar.add_task(
                "", total=n_images, completed=n_done, rate="-", n_failed=n_failed
            )

    def advance(self, results: Sequence[ImageResult]) -> None:
        """Count results, and print the first errors."""
        for result in results:
            if isinstance(result.outcome, ServiceError):
                self._fail(result, result.outcome)
        self.n_done += len(results)
        if self._bar and self._task is not None:
            self._bar.update(
                self._task, completed=self.n_done, rate=self._rate_text(), n_failed=self.n_failed
            )
        elif self._clock() - self._line_s >= LINE_S:
            self._line_s = self._clock()
            print_line(self.line(), is_error=True)

    def _fail(self, result: ImageResult, error: ServiceError) -> None:
        self.n_failed += 1
        self._n_printed += 1
        if self._n_printed <= MAX_ERRORS:
            name = result.key.path or f"row {result.key.index}"
            print_line(f"error: {name}: {cut_middle(error.detail)}", is_error=True)
        elif self._n_printed == MAX_ERRORS + 1:
            print_line("further errors are in the output only", is_error=True)

    def line(self) -> str:
        """The progress as a line."""
        left = ""
        if (rate := self.rate()) and self.n_done < self.n_images:
            seconds = round((self.n_images - self.n_done) / rate)
            left = f", {timedelta(seconds=seconds)} left"
        return (
            f"{self.n_done:,} of {self.n_images:,} images ({self.n_done / self.n_images:.1%}), "
            f"{self._rate_text()}/s, {self.n_failed:,} failed{left}"
        )

    def rate(self) -> float:
        """Images per second of this run."""
        elapsed_s = self._clock() - self._began_s
        return (self.n_done - self._n_begun) / elapsed_s if elapsed_s > 0 else 0.0

    def _rate_text(self) -> str:
        rate = self.rate()
        return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
