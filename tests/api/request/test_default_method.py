"""The default method of a model applies to requests that name none, and to no others."""

from __future__ import annotations

from typing import Any

import pytest

from service.api.request.options import ExplainOptions, parse_options
from service.api.request.resolved import ResolvedExplain, resolve_explain
from service.models.card import ModelCard
from service.models.evidence import DefaultMethod


def resolved(card: ModelCard, given: dict[str, Any], **default: str) -> ResolvedExplain:
    method = DefaultMethod(**default) if default else None
    changed = card.model_copy(update={"default_method": method})
    return resolve_explain(parse_options(ExplainOptions, given, {}), changed)


@pytest.mark.parametrize(
    ("default", "given", "expected"),
    [
        ({}, {}, ("epsilon_plus_flat", "gradient")),
        ({"composite": "deconvnet"}, {}, ("deconvnet", "gradient")),
        (
            {"composite": "deconvnet"},
            {"target": "cat", "start": "logit"},
            ("deconvnet", "gradient"),
        ),
        ({"composite": "deconvnet"}, {"layer": "features.3"}, ("deconvnet", "gradient")),
        ({"composite": "deconvnet"}, {"composite": "none"}, ("none", "gradient")),
        ({"composite": "deconvnet"}, {"attributor": "occlusion"}, ("none", "occlusion")),
        ({"composite": "deconvnet"}, {"attributor": "gradient"}, ("epsilon_plus_flat", "gradient")),
        ({"attributor": "occlusion"}, {}, ("none", "occlusion")),
        ({"attributor": "occlusion"}, {"layer": "features.3"}, ("epsilon_plus_flat", "gradient")),
        ({"attributor": "occlusion"}, {"start": "logit"}, ("epsilon_plus_flat", "gradient")),
        ({"attributor": "smooth_grad"}, {}, ("epsilon_plus_flat", "smooth_grad")),
        ({"attributor": "smooth_grad"}, {"composite": "none"}, ("none", "gradient")),
    ],
)
def test_it_applies_where_a_request_names_no_method(
    card: ModelCard, default: dict[str, str], given: dict[str, Any], expected: tuple[str, str]
) -> None:
    method = resolved(card, given, **default).method
    assert (method.composite, method.attributor) == expected


def test_it_is_the_same_request_as_one_that_names_it(card: ModelCard) -> None:
    by_default = resolved(card, {}, composite="deconvnet")
    named = resolved(card, {"composite": "deconvnet"}, composite="deconvnet")
    assert by_default.canonical() == named.canonical()
    assert by_default.canonical() != resolved(card, {}).canonical()


def test_several_layers_come_from_one_pass(card: ModelCard) -> None:
    method = resolved(card, {"layers": "all"}, attributor="smooth_grad").method
    assert method.attributor == "gradient"
