"""Measurements in a model card: accuracy, confusion matrix and training history."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MAX_CONFUSED = 100  # classes; the matrix of more would be too large for a card


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Accuracy(_Frozen):
    """Accuracy on a split."""

    accuracy: float = Field(ge=0, le=1, description="Share of right predictions, 0 to 1")
    n: int = Field(gt=0, description="Number of images")


class Epoch(_Frozen):
    """Losses and accuracy of an epoch of training."""

    epoch: int = Field(ge=1)
    training_loss: float = Field(ge=0, description="Mean over the epoch, as it was minimized")
    validation_loss: float = Field(ge=0, description="Mean cross entropy after the epoch")
    validation_accuracy: float = Field(ge=0, le=1, description="Share of right predictions")


def _check_square(rows: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
    if any(len(row) != len(rows) for row in rows):
        raise ValueError("must have as many columns as rows")
    if not any(map(any, rows)):
        raise ValueError("must count at least one image")
    return rows


Confusion = Annotated[
    tuple[tuple[Annotated[int, Field(ge=0)], ...], ...],
    Field(max_length=MAX_CONFUSED),
    AfterValidator(_check_square),
]


def accuracy_of(confusion: Confusion) -> Accuracy:
    """The accuracy according to a confusion matrix of shape (true class, predicted class)."""
    n = sum(map(sum, confusion))
    return Accuracy(accuracy=sum(row[i] for i, row in enumerate(confusion)) / n, n=n)
