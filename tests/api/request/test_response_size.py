"""A request for too large a response is refused with what to lower."""

from __future__ import annotations

from typing import Any

import pytest

from service.api.request.accept import JSON, NPY, PNG
from service.api.request.options import ExplainOptions, parse_options
from service.api.request.resolved import resolve_explain
from service.api.request.response_size import MAX_VALUES, check_response_size
from service.errors import OptionError
from service.models.card import ModelCard
from service.runtime.jobs import LayerInfo

MAX_PIXELS = 1 << 20
LAYERS = (
    LayerInfo("wide", "Conv2d", (64, 256, 256)),
    LayerInfo("flat", "Linear", (MAX_VALUES + 1,)),
)


def check(card: ModelCard, media_type: str = JSON, **given: Any) -> None:
    options = parse_options(ExplainOptions, given, {})
    resolved = resolve_explain(options, card, LAYERS, media_type)
    check_response_size(resolved, LAYERS, MAX_PIXELS)


@pytest.mark.parametrize(
    ("options", "largest"),
    [
        ({"size": 1025}, 1024),
        ({"size": 725, "output": "heatmap,overlay"}, 724),
        ({"size": 513, "output": "heatmap,overlay,view,original"}, 512),
        ({"size": 2048, "targets": list(range(10)), "output": "heatmap"}, 323),
    ],
)
def test_pictures_are_bounded_together(
    card: ModelCard, options: dict[str, Any], largest: int
) -> None:
    with pytest.raises(OptionError, match=f"^size: .*give a size of at most {largest}, ") as caught:
        check(card, **options)
    assert "more than 1,048,576" in caught.value.detail
    check(card, **options | {"size": largest})


def test_what_a_format_does_not_draw_does_not_count(card: ModelCard) -> None:
    check(card, NPY, size=2048)
    check(card, JSON, size=2048, output="relevance")
    with pytest.raises(OptionError, match="1 picture of 2048 x 2048 "):
        check(card, PNG, size=2048)


@pytest.mark.parametrize(
    ("media_type", "options", "hint"),
    [
        (NPY, {"layer": "flat"}, "another layer"),
        (JSON, {"layer": "wide", "channels": "all", "targets": [1, 2]}, "fewer targets"),
        (JSON, {"layer": "wide", "channels": "all", "relevance_format": "list"}, "=base64"),
        (JSON, {"layer": "wide", "channels": "all", "targets": [1, 2]}, "channels=sum"),
    ],
)
def test_values_are_bounded_together(
    card: ModelCard, media_type: str, options: dict[str, Any], hint: str
) -> None:
    with pytest.raises(OptionError, match=f"^output: the relevance has .*{hint}"):
        check(card, media_type, **{"output": "relevance", **options})


@pytest.mark.parametrize("media_type", [JSON, NPY])
def test_the_largest_layer_of_one_target_fits(card: ModelCard, media_type: str) -> None:
    check(card, media_type, layer="wide", channels="all", output="relevance")
