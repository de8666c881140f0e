"""The card: old ones stay valid, and imported models have one too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from service.errors import BundleError
from service.methods import COMPOSITES, parse_rules
from service.models.card import CARD_FILE, ImportedProvenance, ModelCard, Provenance, read_card
from service.models.registry import SHIPPED
from service.settings import DEFAULT_MODEL

IMPORTED: dict[str, Any] = {
    "source": "weights.pt",
    "source_sha256": "0" * 64,
    "imported_at": "2026-11-23T15:51:24Z",
    "versions": {"torch": "2.14.1"},
}


def test_a_card_from_before_imports_is_valid(card: ModelCard) -> None:
    text = (SHIPPED / DEFAULT_MODEL / CARD_FILE).read_text(encoding="utf-8")
    assert "resize" not in text
    assert ModelCard.model_validate_json(text) == card
    assert isinstance(card.provenance, Provenance)
    assert card.resize is None


@pytest.mark.parametrize("resize", [None, 32, 36])
def test_a_card_of_an_imported_model_is_read_as_it_was_written(
    tmp_path: Path, card: ModelCard, resize: int | None
) -> None:
    fields = card.model_dump() | {"provenance": IMPORTED, "resize": resize}
    del fields["accuracy"]
    imported = ModelCard.model_validate(fields)
    (tmp_path / CARD_FILE).write_text(imported.model_dump_json(), encoding="utf-8")
    assert read_card(tmp_path) == imported
    assert isinstance(imported.provenance, ImportedProvenance)
    assert (imported.provenance.data, imported.accuracy) == ("unknown", {})


def test_a_card_with_a_name_twice_is_refused(tmp_path: Path, card: ModelCard) -> None:
    text = card.model_dump_json().replace('{"name":', '{"name": "first", "name":', 1)
    (tmp_path / CARD_FILE).write_text(text, encoding="utf-8")
    with pytest.raises(BundleError, match=r"not a valid card: .* the name 'name' more"):
        read_card(tmp_path)


@pytest.mark.parametrize("size", [(33, 20), (20, 33)])
def test_resize_covers_both_sides(card: ModelCard, size: tuple[int, int]) -> None:
    fields = card.model_dump() | {"input_size": size}
    assert ModelCard.model_validate(fields | {"resize": 33}).resize == 33
    with pytest.raises(ValidationError, match="resize must be at least"):
        ModelCard.model_validate(fields | {"resize": 32})


@pytest.mark.parametrize("source", ["/home/me/weights.pt", "a\\weights.pt", ""])
def test_where_the_users_files_lie_is_not_in_a_card(source: str) -> None:
    with pytest.raises(ValidationError, match="source"):
        ImportedProvenance.model_validate(IMPORTED | {"source": source})


RULES = [{"layers": "first:convolution", "rule": "flat"}, {"layers": "conv?", "rule": "gamma"}]


def test_a_card_may_bring_composites(tmp_path: Path, card: ModelCard) -> None:
    fields = card.model_dump() | {"composites": {"smooth": RULES}}
    (tmp_path / CARD_FILE).write_text(ModelCard.model_validate(fields).model_dump_json())
    read = read_card(tmp_path)
    assert read.composites == {"smooth": RULES}
    assert read.own_composites == {"smooth": parse_rules(RULES)}
    assert card.own_composites == {}


@pytest.mark.parametrize("name", [*COMPOSITES, "custom", "", "Smooth", "[x", "a b", "x" * 65])
def test_a_composite_takes_no_name_of_another_one(card: ModelCard, name: str) -> None:
    with pytest.raises(ValidationError, match="a composite cannot have the name"):
        ModelCard.model_validate(card.model_dump() | {"composites": {name: RULES}})


def test_a_composite_that_is_broken_is_named_with_its_entry(
    tmp_path: Path, card: ModelCard
) -> None:
    fields = card.model_dump(mode="json")
    fields["composites"] = {"smooth": RULES, "rough": [*RULES, {"layers": "x", "rule": "lrp"}]}
    (tmp_path / CARD_FILE).write_text(json.dumps(fields))
    with pytest.raises(BundleError, match=r"composites: .*rough: entry 3: `rule` must be one of"):
        read_card(tmp_path)
