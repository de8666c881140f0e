"""Plot of the learning curves of a run."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from training.progress import Record


def draw_curves(history: list[Record], path: Path) -> None:
    """Plot training loss, validation loss and validation accuracy over the epochs."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    losses = figure.subplots()
    epochs = [record["epoch"] for record in history]
    losses.plot(epochs, [r["training_loss"] for r in history], label="training loss")
    losses.plot(epochs, [r["validation_loss"] for r in history], label="validation loss")
    losses.set_xlabel("epoch")
    losses.set_ylabel("cross entropy")
    losses.xaxis.set_major_locator(MaxNLocator(integer=True))
    accuracies = losses.twinx()
    shares = [r["validation_accuracy"] for r in history]
    accuracies.plot(epochs, shares, color="tab:green", label="validation accuracy")
    accuracies.set_ylabel("accuracy")
    accuracies.yaxis.set_major_formatter(PercentFormatter(1.0))
    lines = [*losses.get_lines(), *accuracies.get_lines()]
    losses.legend(handles=lines, loc="center right")
    figure.savefig(path, dpi=120)
