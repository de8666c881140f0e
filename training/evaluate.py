"""Evaluation of a bundle on a test set: accuracy, accuracy per class, confusion matrix."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from service import terminal
from service.errors import join_names
from service.models.bundles import Bundle
from service.models.card import ModelCard, read_card, write_card
from service.models.measures import MAX_CONFUSED
from training.data import DataError, DataSet, Split
from training.measure import predict_logits


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation on a split.

    Attributes
    ----------
    labels : tuple of str
        The classes.
    confusion : NDArray[int64]
        Number of images, shape (true class, predicted class).
    """

    labels: tuple[str, ...]
    confusion: NDArray[np.int64]

    @property
    def n(self) -> int:
        """Number of images."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """Share of right predictions."""
        return float(np.trace(self.confusion) / self.n)

    @property
    def class_accuracy(self) -> dict[str, float]:
        """Share of right predictions of each class; 0 for a class without images."""
        shares = np.diag(self.confusion) / np.maximum(self.confusion.sum(1), 1)
        return dict(zip(self.labels, shares.tolist(), strict=True))

    def to_json(self) -> str:
        """The evaluation as JSON."""
        fields = {
            "accuracy": self.accuracy,
            "n": self.n,
            "class_accuracy": self.class_accuracy,
            "labels": self.labels,
            "confusion": self.confusion.tolist(),
        }
        return json.dumps(fields, indent=1) + "\n"


def evaluate(bundle: Bundle, data: DataSet) -> Evaluation:
    """Evaluate a bundle on the test split of a data set.

    Raises
    ------
    DataError
        The classes of the data are not the labels of the bundle.
    """
    split = checked_test(bundle, data)
    predicted = predict_logits(bundle.model, split, bundle.card.mean, bundle.card.std).argmax(1)
    labels = bundle.card.labels
    return Evaluation(labels, count_confusion(predicted, split.labels, len(labels)))


def checked_test(bundle: Bundle, data: DataSet) -> Split:
    """The test split of a data set, if its classes are the labels of a bundle.

    Raises
    ------
    DataError
        They are not.
    """
    if data.class_names != bundle.card.labels:
        raise DataError(
            f"the classes of the data ({join_names(data.class_names)}) are not "
            f"those of the model ({join_names(bundle.card.labels)})"
        )
    return data.test


def count_confusion(predicted: Tensor, true: Tensor, n_classes: int) -> NDArray[np.int64]:
    """Count predictions, shape (true class, predicted class)."""
    flat = torch.bincount(true * n_classes + predicted, minlength=n_classes**2)
    counts: NDArray[np.int64] = flat.reshape(n_classes, n_classes).cpu().numpy()
    return counts


def print_table(evaluation: Evaluation) -> None:
    """Print the accuracy of each class, and its most frequent wrong prediction."""
    rows = []
    errors = evaluation.confusion.copy()
    np.fill_diagonal(errors, 0)
    for index, (label, share) in enumerate(evaluation.class_accuracy.items()):
        worst = int(errors[index].argmax())
        other = (
            f"{evaluation.labels[worst]} ({errors[index, worst]})" if errors[index].any() else "-"
        )
        rows.append((label, f"{share:.1%}", str(evaluation.confusion[index].sum()), other))
    rows.append(("all", f"{evaluation.accuracy:.2%}", str(evaluation.n), ""))
    terminal.print_table(("class", "accuracy", "n", "most often taken for"), rows)


def write_evaluation(evaluation: Evaluation, title: str, out: Path) -> None:
    """Write `evaluation.json` and `confusion.png`."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "evaluation.json").write_text(evaluation.to_json(), encoding="utf-8")
    draw_confusion(evaluation, title, out / "confusion.png")


def keep_evaluation(evaluation: Evaluation, folder: Path) -> None:
    """Write accuracy and confusion matrix of the test set into the card of a bundle."""
    card = read_card(folder)
    fields = card.model_dump()
    fields["accuracy"]["test"] = {"accuracy": evaluation.accuracy, "n": evaluation.n}
    fields["confusion"].pop("test", None)
    if len(card.labels) <= MAX_CONFUSED:
        fields["confusion"]["test"] = evaluation.confusion.tolist()
    write_card(folder, ModelCard.model_validate(fields))


def draw_confusion(evaluation: Evaluation, title: str, path: Path) -> None:
    """Plot the confusion matrix, with rows in percent of the true class."""
    counts = evaluation.confusion
    percent = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    n = len(evaluation.labels)
    side = max(5.0, 0.75 * n)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    picture = axes.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    axes.set_xticks(range(n), evaluation.labels, rotation=45, ha="right")
    axes.set_yticks(range(n), evaluation.labels)
    axes.set(xlabel="predicted class", ylabel="true class", title=title)
    for row, column in np.ndindex(n, n):
        color = "white" if percent[row, column] > 50 else "black"
        text = f"{percent[row, column]:.1f}"
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=9)
    figure.colorbar(picture, label="% of the images of the true class", shrink=0.8)
    figure.savefig(path, dpi=120)
