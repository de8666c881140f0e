"""Accuracy of a recipe over several seeds: mean, spread, and the curves of all runs."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from service.models.card import Provenance, read_card
from training.checkpoints import CheckpointError
from training.progress import Record


@dataclass(frozen=True)
class FinishedRun:
    """A finished run: its recipe and network by name, its seed, accuracies and history."""

    recipe: str
    architecture: str
    seed: int
    accuracy: dict[str, float]
    history: list[Record]

    @property
    def kind(self) -> tuple[str, str]:
        """What runs that are compared have in common."""
        return self.recipe, self.architecture


@dataclass(frozen=True)
class Spread:
    """Mean, standard deviation (of a single run, n - 1), lowest and highest of n values."""

    mean: float
    deviation: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Summarize values; one value alone has no deviation (NaN)."""
        deviation = statistics.stdev(values) if len(values) > 1 else float("nan")
        return cls(statistics.mean(values), deviation, min(values), max(values), len(values))

    def __str__(self) -> str:
        """As in `85.31% ± 0.12 (85.20-85.44, n=3)`; one value alone has no spread."""
        if self.n == 1:
            return f"{self.mean:.2%} (n=1)"
        mean, deviation, low, high = (
            100 * value for value in (self.mean, self.deviation, self.low, self.high)
        )
        return f"{mean:.2f}% ± {deviation:.2f} ({low:.2f}-{high:.2f}, n={self.n})"


def read_run(run: Path) -> FinishedRun:
    """Read the history and the card of a finished run.

    Raises
    ------
    CheckpointError
        The run has no bundle yet, or its card does not say how it was trained.
    """
    if not (run / "bundle").is_dir():
        raise CheckpointError(f"{run} is not a finished run: it has no bundle")
    card = read_card(run / "bundle")
    if not isinstance(card.provenance, Provenance):
        raise CheckpointError(f"the card of {run} does not say how the network was trained")
    return FinishedRun(
        recipe=str(card.provenance.recipe["name"]),
        architecture=card.architecture,
        seed=card.provenance.seed,
        accuracy={split: measured.accuracy for split, measured in card.accuracy.items()},
        history=json.loads((run / "history.json").read_bytes()),
    )


def summarize(runs: Sequence[FinishedRun]) -> dict[tuple[str, str], dict[str, Spread]]:
    """Spread of the accuracies over the seeds, for each recipe and network.

    Raises
    ------
    CheckpointError
        Two runs are the same: that would make the spread too small.
    """
    seen = Counter((*run.kind, run.seed) for run in runs)
    for (recipe, architecture, seed), count in seen.items():
        if count > 1:
            raise CheckpointError(f"{count} runs of {recipe}, {architecture} have the seed {seed}")
    ordered = sorted(runs, key=lambda run: run.kind)
    return {kind: _spreads(list(group)) for kind, group in groupby(ordered, lambda run: run.kind)}


def _spreads(runs: Sequence[FinishedRun]) -> dict[str, Spread]:
    splits = runs[0].accuracy
    return {split: Spread.of([run.accuracy[split] for run in runs]) for split in splits}


def draw_seeds(runs: Sequence[FinishedRun], path: Path) -> None:
    """Plot the validation accuracy of each run, in a colour for each recipe and network."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for number, (kind, accuracy) in enumerate(summarize(runs).items()):
        recipe, architecture = kind
        label = f"{recipe}, {architecture}: test {accuracy['test']}"
        for run in (run for run in runs if run.kind == kind):
            epochs = [record["epoch"] for record in run.history]
            shares = [record["validation_accuracy"] for record in run.history]
            axes.plot(epochs, shares, color=f"C{number}", alpha=0.7, label=label)
            label = ""  # one entry in the legend for all seeds
    axes.set_xlabel("epoch")
    axes.set_ylabel("validation accuracy")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=120)
