"""Evidence and a default method in a card: read strictly, written as they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from service.errors import BundleError
from service.models.card import ModelCard, read_card, write_card
from service.models.evidence import DefaultMethod, Evidence
from tests.helpers.evidence import evidence_fields


def with_fields(card: ModelCard, **fields: Any) -> ModelCard:
    return ModelCard.model_validate(card.model_dump() | fields)


def test_evidence_is_read_as_it_was_written(tmp_path: Path, card: ModelCard) -> None:
    method = {"composite": "epsilon_gamma_box"}
    told = with_fields(card, evidence=evidence_fields(), default_method=method)
    write_card(tmp_path, told)
    assert read_card(tmp_path) == told
    assert list(read_card(tmp_path).evidence.methods) == list(evidence_fields()["methods"])  # type: ignore[union-attr]
    assert [path.name for path in tmp_path.iterdir()] == ["model.json"]


def test_a_card_without_evidence_is_as_before(tmp_path: Path, card: ModelCard) -> None:
    plain = with_fields(card, evidence=None, default_method=None)
    write_card(tmp_path, plain)
    text = (tmp_path / "model.json").read_text(encoding="utf-8")
    assert "evidence" not in text
    assert "default_method" not in text
    assert read_card(tmp_path) == plain


def test_what_a_card_keeps_is_part_of_its_digest(card: ModelCard) -> None:
    plain = with_fields(card, evidence=None, default_method=None)
    with_method = with_fields(plain, default_method={"composite": "deconvnet"})
    with_evidence = with_fields(plain, evidence=evidence_fields())
    digests = {one.digest for one in (plain, with_method, with_evidence)}
    assert len(digests) == 3  # a reload brings it, and a cache has no answers of another default


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"decided_by": "beauty"}, "measures must have beauty"),
        ({"best": ["magic"]}, "best has unknown methods: magic"),
        ({"baselines": ["magic"]}, "baselines has unknown methods: magic"),
        ({"n": 0}, "greater than 0"),
        ({"surprise": 1}, "Extra inputs"),
        (
            {"methods": {"a": {"gap": {"mean": 0, "low": 1, "high": 0, "n": 5}}}},
            "low must be at most high",
        ),
        (
            {"methods": {"a": {"luck": {"mean": 0, "low": 0, "high": 0, "n": 5}}}},
            "unknown measures: luck",
        ),
    ],
)
def test_wrong_evidence_is_refused(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        Evidence.model_validate(evidence_fields() | change)


@pytest.mark.parametrize(
    ("method", "problem"),
    [
        ({}, "must have a composite, an attributor or both"),
        ({"composite": "magic"}, "must be one of"),
        ({"attributor": "magic"}, "unknown attributor"),
        ({"attributor": "occlusion", "composite": "epsilon_plus"}, "must be none"),
        ({"start": "logit", "composite": "none"}, "Extra inputs"),
    ],
)
def test_a_default_method_that_there_is_not_is_one_sentence(
    tmp_path: Path, card: ModelCard, method: dict[str, str], problem: str
) -> None:
    text = card.model_copy(update={"default_method": None}).model_dump_json()
    assert '"default_method":null' in text
    changed = text.replace(
        '"default_method":null', f'"default_method":{method!r}'.replace("'", '"')
    )
    (tmp_path / "model.json").write_text(changed, encoding="utf-8")
    with pytest.raises(BundleError, match=problem):
        read_card(tmp_path)


def test_a_composite_of_the_bundle_may_be_the_default(card: ModelCard) -> None:
    rules = [{"layers": "type:linear", "rule": "epsilon"}]
    changed = with_fields(card, composites={"mine": rules}, default_method={"composite": "mine"})
    assert changed.default_method == DefaultMethod(composite="mine")
