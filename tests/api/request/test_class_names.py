"""Classes are named by index or label."""

from __future__ import annotations

import pytest

from service.api.request.class_names import class_index
from service.errors import OptionError
from service.models.card import ModelCard


def with_labels(card: ModelCard, *labels: str) -> ModelCard:
    return card.model_copy(update={"labels": labels})


def test_a_label_of_digits_has_to_be_forced(card: ModelCard) -> None:
    digits = with_labels(card, "1", "0", "label:0", "seven")

    assert class_index("target", "0", digits) == 0
    assert class_index("target", "label:0", digits) == 1
    assert class_index("target", "label:label:0", digits) == 2
    assert class_index("target", "seven", digits) == 3
    assert class_index("target", None, digits) is None


def test_an_error_names_some_of_many_labels(card: ModelCard) -> None:
    many = with_labels(card, *(f"class {n}" for n in range(1000)))

    with pytest.raises(OptionError, match=r"below 1000, or one of: class 0, .*class 19, \.\.\.$"):
        class_index("target", "dog", many)
