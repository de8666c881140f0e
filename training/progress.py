"""Progress of a run: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Protocol

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Record = dict[str, float]


class ProgressView(Protocol):
    """Display of the progress of a run."""

    def __enter__(self) -> ProgressView: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
    def step(self, loss: float) -> None:
        """Report a finished step."""

    def epoch(self, record: Record) -> None:
        """Report a finished epoch."""


def make_progress(epochs: int, steps_per_epoch: int, n_done: int) -> ProgressView:
    """A bar if standard error is a terminal, else lines; `n_done` steps are done before."""
    if sys.stderr.isatty():
        return BarView(epochs, steps_per_epoch, n_done)
    return LineView(epochs)


class LineView:
    """A line per epoch."""

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs
        self._seconds: list[float] = []

    def __enter__(self) -> LineView:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return

    def step(self, loss: float) -> None:
        """Steps are not shown."""

    def epoch(self, record: Record) -> None:
        """Print the epoch's figures and the time left."""
        self._seconds.append(record["seconds"])
        mean_s = sum(self._seconds) / len(self._seconds)
        left_s = mean_s * (self._epochs - record["epoch"])
        typer.echo(f"{_describe(record, self._epochs)}, {left_s / 60:.0f} min left", err=True)


class BarView:
    """A bar over all steps, with the loss, the last accuracy and the time left."""

    def __init__(self, epochs: int, steps_per_epoch: int, n_done: int) -> None:
        self._epochs = epochs
        self._progress = Progress(
            TextColumn("epoch {task.fields[epoch]}/" + str(epochs)),
            BarColumn(),
            TextColumn("loss {task.fields[loss]:.3f}  accuracy {task.fields[accuracy]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._progress.add_task(
            "train",
            total=epochs * steps_per_epoch,
            completed=n_done,
            epoch=n_done // steps_per_epoch + 1,
            loss=0.0,
            accuracy="-",
        )

    def __enter__(self) -> BarView:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def step(self, loss: float) -> None:
        """Move the bar."""
        self._progress.update(self._task, advance=1, loss=loss)

    def epoch(self, record: Record) -> None:
        """Show the validation accuracy, and a line above the bar."""
        accuracy = f"{record['validation_accuracy']:.1%}"
        following = min(int(record["epoch"]) + 1, self._epochs)
        self._progress.update(self._task, epoch=following, accuracy=accuracy)
        self._progress.console.print(_describe(record, self._epochs), highlight=False)


def _describe(record: Record, epochs: int) -> str:
    return (
        f"epoch {record['epoch']:.0f}/{epochs}: training loss {record['training_loss']:.4f}, "
        f"validation loss {record['validation_loss']:.4f}, "
        f"accuracy {record['validation_accuracy']:.2%}, "
        f"{record['images_per_s']:.0f} images/s"
    )
