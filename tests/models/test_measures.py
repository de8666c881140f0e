"""What is measured of a network, and what cannot be."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from service.models.card import ModelCard
from service.models.measures import MAX_CONFUSED, Accuracy, Confusion, accuracy_of

Counts = list[list[int]]


def parsed(counts: Counts) -> Confusion:
    return TypeAdapter[Confusion](Confusion).validate_python(counts)


def test_a_matrix_says_the_accuracy() -> None:
    assert accuracy_of(parsed([[3, 1], [2, 4]])) == Accuracy(accuracy=0.7, n=10)


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ([[1, 2]], "as many columns as rows"),
        ([[1, 2], [3]], "as many columns as rows"),
        ([], "at least one image"),
        ([[0, 0], [0, 0]], "at least one image"),
        ([[1, -1], [0, 1]], "greater than or equal to 0"),
        ([[1] * (MAX_CONFUSED + 1)] * (MAX_CONFUSED + 1), f"at most {MAX_CONFUSED} items"),
    ],
)
def test_what_is_no_matrix_is_refused(counts: Counts, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        parsed(counts)


def test_the_shipped_matrix_bears_out_the_accuracy(card: ModelCard) -> None:
    assert accuracy_of(card.confusion["test"]) == card.accuracy["test"]
    assert [sum(row) for row in card.confusion["test"]] == [1000] * 10


def changed(counts: Confusion, **cells: int) -> Counts:
    rows = [list(row) for row in counts]
    for place, n in cells.items():
        rows[int(place[1])][int(place[2])] += n
    return rows


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"x00": 1}, "of 10001 images, accuracy says 0.8648 of 10000"),
        ({"x00": -1, "x01": 1}, "0.8647 of 10000 images, accuracy says 0.8648"),
    ],
)
def test_a_matrix_that_contradicts_the_accuracy_is_refused(
    card: ModelCard, cells: dict[str, int], words: str
) -> None:
    fields: dict[str, Any] = card.model_dump()
    fields["confusion"]["test"] = changed(card.confusion["test"], **cells)
    with pytest.raises(ValidationError, match=words):
        ModelCard.model_validate(fields)


def test_a_matrix_without_an_accuracy_is_taken(card: ModelCard) -> None:
    fields = card.model_dump() | {"accuracy": {}}
    assert ModelCard.model_validate(fields).confusion == card.confusion


def test_a_matrix_has_a_row_for_each_label(card: ModelCard) -> None:
    fields = card.model_dump() | {"confusion": {"other": [[1, 0], [0, 1]]}}
    with pytest.raises(ValidationError, match="confusion of other must have a row for each label"):
        ModelCard.model_validate(fields)
