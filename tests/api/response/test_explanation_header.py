"""The header `X-Explanation` stays short for any network."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.response.explanation import MAX_HEADER, MAX_LISTED, header_text


def fields(
    n_predictions: int = 5,
    n_layers: int | None = 9,
    n_rules: int = 0,
    n_without_rule: int = 0,
    label: str = "cat",
) -> dict[str, Any]:
    score = {"index": 3, "label": label, "probability": 0.123456789012345, "logit": -1.2345678}
    rule = {"layers": "type:convolution", "rule": "gamma", "gamma": 0.25, "stabilizer": 1e-6}
    layers = [{"layer": f"layer{n}.conv", "arrived": 0.123456789012} for n in range(n_layers or 0)]
    return {
        "model": "resnet50",
        "predictions": [{**score, "index": n} for n in range(n_predictions)],
        "method": {"composite": "custom", "epsilon": 1e-6, "rules": [rule] * n_rules},
        "layers_without_rule": [f"layer{n}.downsample" for n in range(n_without_rule)],
        "target": score,
        "conservation": {"start": 1.0, "by_layer": None if n_layers is None else layers},
    }


def test_a_short_header_is_complete() -> None:
    sent = fields(n_layers=MAX_LISTED, n_without_rule=3, n_rules=3)

    assert json.loads(header_text(sent)) == sent


def test_empty_lists_are_kept() -> None:
    sent = fields(n_layers=None)

    assert json.loads(header_text(sent)) == sent


@pytest.mark.parametrize(
    "sent",
    [
        fields(n_layers=MAX_LISTED + 1),
        fields(n_rules=MAX_LISTED + 1),
        fields(n_without_rule=MAX_LISTED + 1),
    ],
    ids=["by_layer", "rules", "layers_without_rule"],
)
def test_a_long_list_is_left_out_even_if_it_fits(sent: dict[str, Any]) -> None:
    n_characters = len(json.dumps(sent, separators=(",", ":")))

    found = json.loads(header_text(sent))

    assert n_characters < MAX_HEADER
    assert found != sent
    assert found.keys() >= sent.keys() - {"layers_without_rule"}


def test_lists_that_grow_with_the_network_are_left_out() -> None:
    sent = fields(n_layers=MAX_LISTED + 1, n_without_rule=MAX_LISTED + 1, n_rules=MAX_LISTED + 1)

    found = json.loads(header_text(sent))

    assert found["conservation"] == {"start": 1.0}
    assert found["method"] == {"composite": "custom", "epsilon": 1e-6}
    assert "layers_without_rule" not in found
    assert found["predictions"] == sent["predictions"]
    assert sent == fields(n_layers=41, n_without_rule=41, n_rules=41)  # JSON has them still


def test_the_best_of_many_predictions_are_kept() -> None:
    sent = fields(n_predictions=1000)

    text = header_text(sent)

    found = json.loads(text)["predictions"]
    assert 10 < len(found) < 1000
    assert found == sent["predictions"][: len(found)]
    one_more = {**json.loads(text), "predictions": sent["predictions"][: len(found) + 1]}
    assert len(json.dumps(one_more, separators=(",", ":"))) > MAX_HEADER - 2


def test_lists_that_are_too_long_together_are_left_out() -> None:
    sent = fields(n_layers=40, n_rules=40, n_without_rule=40)

    found = json.loads(header_text(sent))

    assert len(header_text(sent)) <= MAX_HEADER
    assert found["predictions"] == sent["predictions"]


@given(
    st.integers(0, 1000),
    st.none() | st.integers(0, 200),
    st.integers(0, 256),
    st.integers(0, 300),
    st.text(max_size=60),
)
def test_it_is_short_ascii_json(
    n_predictions: int, n_layers: int | None, n_rules: int, n_without_rule: int, label: str
) -> None:
    text = header_text(fields(n_predictions, n_layers, n_rules, n_without_rule, label))

    assert len(text) <= MAX_HEADER
    assert text.isascii()
    assert "\n" not in text
    assert json.loads(text)["target"]["label"] == label


@pytest.mark.parametrize("label", ["猫" * 100, "\ud800", 'say "cat"\n'])
def test_odd_labels(label: str) -> None:
    text = header_text(fields(1000, label=label))

    assert len(text) <= MAX_HEADER
    assert json.loads(text)["target"]["label"] == label
