"""The canonical text of a resolved request: equal if, and only if, the responses are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from service.api.request.options import ExplainOptions, PredictOptions, parse_options
from service.api.request.resolved import ResolvedExplain, resolve_explain, resolve_predict
from service.methods import all_parameters
from service.models.card import ModelCard
from service.settings import DEFAULT_MODEL
from tests.api.sending import beside

# for each option a value that is not its default
OTHER: dict[str, Any] = {
    "model": "other",
    "top_k": 3,
    "fit": "pad",
    "target": "cat",
    "contrast": "ship",
    "targets": ["cat"],
    "start": "logit",
    "composite": "epsilon_plus",
    "attributor": "smooth_grad",
    "layer": "features.0",
    "layers": ["input"],
    "output": "heatmap,relevance",
    "relevance_format": "list",
    "channels": "all",
    "cmap": "seismic",
    "size": 64,
    "enlarge": "smooth",
    "overlay_style": "contours",
    "color_bar": True,
    "bound": 0.5,
    "baseline": "black",
    "zero_bias": True,
    "window": 4,
    "stride": 2,
}


def resolved(card: ModelCard, given: Mapping[str, Any]) -> ResolvedExplain:
    other = card.model_copy(update={"name": "other"})
    cards = {card.name: card, "other": other}
    options = parse_options(ExplainOptions, given, cards)
    chosen = cards[options.model or card.name]
    return resolve_explain(options, chosen)


def value_of(option: str) -> Any:
    """A value that is not the default; of a parameter, one between its bounds."""
    if option in OTHER:
        return OTHER[option]
    parameter = all_parameters()[option]
    return 2 if parameter.kind == "integer" else 0.5


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"target": "cat"}, {"target": "3"}),
        ({"target": "label:cat"}, {"target": "3"}),
        ({}, {"composite": "epsilon_plus_flat", "epsilon": 1e-6, "attributor": "gradient"}),
        ({}, {"model": DEFAULT_MODEL, "size": 256, "output": "heatmap"}),
        ({"attributor": "occlusion"}, {"attributor": "occlusion", "window": 8, "stride": 4}),
    ],
    ids=str,
)
def test_other_words_make_the_same_request(
    card: ModelCard, one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert resolved(card, one).canonical() == resolved(card, other).canonical()


@pytest.mark.parametrize("option", ExplainOptions.model_fields)
def test_each_option_makes_another_request(card: ModelCard, option: str) -> None:
    given = beside(option)
    if option == "contrast":
        given = {"target": "cat"}

    changed = {**given, option: value_of(option)}
    assert resolved(card, given).canonical() != resolved(card, changed).canonical()


@pytest.mark.parametrize("option", PredictOptions.model_fields)
def test_each_option_makes_another_prediction(card: ModelCard, option: str) -> None:
    texts = {
        resolve_predict(options, card.model_copy(update={"name": str(options.model)})).canonical()
        for given in ({}, {option: OTHER[option]})
        for options in [PredictOptions.model_validate(given)]
    }
    assert len(texts) == 2


def test_targets_their_order_and_whether_they_are_a_list_make_another_request(
    card: ModelCard,
) -> None:
    given: list[dict[str, Any]] = [
        {},
        {"target": "cat"},
        {"target": "dog"},
        {"targets": ["cat"]},
        {"targets": ["cat", "dog"]},
        {"targets": ["dog", "cat"]},
        {"target": "cat", "contrast": "dog"},
        {"target": "dog", "contrast": "cat"},
    ]
    assert len({resolved(card, one).canonical() for one in given}) == len(given)


def test_other_rules_make_another_request(card: ModelCard) -> None:
    rules = [
        [{"layers": "type:linear", "rule": "epsilon", "epsilon": epsilon}] for epsilon in (1, 2)
    ]
    texts = {resolved(card, {"composite": json.dumps(one)}).canonical() for one in rules}
    assert len(texts) == 2
