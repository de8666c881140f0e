"""Explanations of one or several targets, at the input or at a layer."""

from __future__ import annotations

import base64
import io
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from service.api.response.schemas import (
    ExplainedTarget,
    ExplainResponse,
    ModelInfo,
    RelevanceArray,
    TargetsResponse,
)
from service.imaging.colormaps import color_table
from service.methods import ATTRIBUTORS, COMPOSITES
from service.methods.parameters import ZERO_BIAS
from tests.api.sending import send

ALL = {"output": "heatmap,overlay,relevance", "channels": "all", "size": 32}


def explain(client: httpx.Client, photo: bytes, **options: Any) -> ExplainResponse:
    answer = send(client, photo, options, form="json")
    assert answer.status_code == 200, answer.text[:500]
    return ExplainResponse.model_validate_json(answer.content)


def explain_several(client: httpx.Client, photo: bytes, **options: Any) -> TargetsResponse:
    answer = send(client, photo, options, form="json")
    assert answer.status_code == 200, answer.text[:500]
    return TargetsResponse.model_validate_json(answer.content)


def array_of(relevance: RelevanceArray | None) -> NDArray[np.float32]:
    assert relevance is not None
    assert isinstance(relevance.data, str)
    return np.frombuffer(base64.b64decode(relevance.data), "<f4").reshape(relevance.shape)


def picture_of(text: str | None) -> NDArray[np.uint8]:
    assert text is not None
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB"))


@pytest.fixture(scope="module")
def model(server: Any) -> ModelInfo:
    listed = httpx.get(f"{server.url}/models").json()["models"]
    return ModelInfo.model_validate(listed[0])


# --- several classes


def assert_same(one: ExplainedTarget, alone: ExplainResponse) -> None:
    """The same but for rounding, which depends on what is computed together."""
    assert one.target == alone.target
    mine, other = array_of(one.relevance), array_of(alone.relevance)
    limit = 1e-5 * np.abs(other).max()
    assert np.abs(mine - other).max() <= limit
    assert one.bound == pytest.approx(alone.bound, rel=1e-4)
    assert one.conservation.start == pytest.approx(alone.conservation.start)
    assert one.conservation.arrived == pytest.approx(alone.conservation.arrived, rel=1e-3, abs=1e-5)
    for name in ("heatmap", "overlay"):
        pictures = [picture_of(getattr(answer, name)).astype(int) for answer in (one, alone)]
        assert np.abs(pictures[0] - pictures[1]).max() <= 3


@pytest.mark.parametrize("attributor", ATTRIBUTORS)
def test_each_of_several_targets_equals_the_target_alone(
    client: httpx.Client, photo: bytes, attributor: str
) -> None:
    names = ["cat", "truck", "frog"]

    answer = explain_several(client, photo, targets=names, attributor=attributor, **ALL)

    assert [one.target.label for one in answer.explanations] == names
    for name, one in zip(names, answer.explanations, strict=True):
        alone = explain(client, photo, target=name, attributor=attributor, **ALL)
        assert_same(one, alone)
        shared = set(TargetsResponse.model_fields) - {"explanations"}
        assert answer.model_dump(include=shared) == alone.model_dump(include=shared)


def test_one_target_in_a_list_is_a_list(client: httpx.Client, photo: bytes) -> None:
    answer = explain_several(client, photo, targets=["cat"])

    assert len(answer.explanations) == 1
    assert answer.explanations[0].heatmap


def test_the_bound_is_each_targets_own_or_the_given_one(client: httpx.Client, photo: bytes) -> None:
    asked: dict[str, Any] = {"targets": ["cat", "truck"], "output": "relevance"}

    own = explain_several(client, photo, **asked).explanations
    given = explain_several(client, photo, **asked, bound=0.25).explanations

    assert [one.bound for one in own] == [np.abs(array_of(one.relevance)).max() for one in own]
    assert own[0].bound != own[1].bound
    assert [one.bound for one in given] == [0.25, 0.25]


# --- conservation


@pytest.mark.parametrize("composite", COMPOSITES)
def test_by_layer_leads_from_the_start_to_the_returned_relevance(
    client: httpx.Client, photo: bytes, composite: str
) -> None:
    # biases of the first layer would come between its output and the image
    without = {"zero_bias": True} if ZERO_BIAS in COMPOSITES[composite].parameters else {}

    found = explain(client, photo, composite=composite, **without).conservation

    if not COMPOSITES[composite].conserves:
        assert (found.by_layer, found.ratio) == (None, None)
        return
    assert found.by_layer
    assert found.by_layer[0].arrived == pytest.approx(found.start)
    assert found.by_layer[-1].arrived == pytest.approx(found.arrived, rel=1e-2)
    assert found.ratio == found.arrived / found.start


def test_by_layer_names_layers_of_the_model(
    client: httpx.Client, photo: bytes, model: ModelInfo
) -> None:
    by_layer = explain(client, photo).conservation.by_layer or []
    names = [one.layer for one in by_layer]

    listed = [layer.name for layer in model.layers]
    assert len(names) > 3
    assert [name for name in listed if name in names] == names  # from output to input


def test_integrated_gradients_add_up_to_a_difference_of_logits(
    client: httpx.Client, photo: bytes
) -> None:
    found = explain(client, photo, attributor="integrated_gradients", n_steps=128).conservation

    assert found.start != 1
    assert found.ratio == pytest.approx(1, abs=0.1)
    assert found.by_layer is None


def test_occlusion_has_no_ratio(client: httpx.Client, photo: bytes) -> None:
    assert explain(client, photo, attributor="occlusion").conservation.ratio is None


def test_layers_without_a_rule_are_named(client: httpx.Client, photo: bytes) -> None:
    rules = [{"layers": "type:dense", "rule": "epsilon"}]

    answer = explain(client, photo, composite=rules)

    assert "features.0" in answer.layers_without_rule
    assert not [name for name in answer.layers_without_rule if name.startswith("classifier")]
    assert explain(client, photo).layers_without_rule == []


# --- layers


def test_the_relevance_of_each_layer_has_its_shape(
    client: httpx.Client, photo: bytes, model: ModelInfo
) -> None:
    assert {layer.has_picture for layer in model.layers} == {True, False}
    for layer in model.layers:
        each = explain(client, photo, layer=layer.name, output="relevance", channels="all")
        summed = explain(client, photo, layer=layer.name, output="relevance")
        assert array_of(each.relevance).shape == tuple(layer.shape)
        expected = array_of(each.relevance)
        if layer.has_picture:
            expected = expected.sum(axis=0)
        assert array_of(summed.relevance) == pytest.approx(expected, abs=1e-6)
        assert each.method.layer == layer.name
        total = array_of(each.relevance).sum(dtype=np.float64)
        assert each.conservation.arrived == pytest.approx(total)


def test_relevance_at_a_layer_sums_to_its_entry_in_by_layer(
    client: httpx.Client, photo: bytes
) -> None:
    for one in explain(client, photo).conservation.by_layer or []:
        found = explain(client, photo, layer=one.layer, output="relevance").conservation
        assert found.arrived == pytest.approx(one.arrived, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("output", ["heatmap", "overlay"])
def test_pictures_of_layers_are_as_large_as_those_of_the_input(
    client: httpx.Client, photo: bytes, model: ModelInfo, output: str
) -> None:
    for layer in model.layers:
        if layer.has_picture:
            answer = explain(client, photo, layer=layer.name, output=output, size=100)
            assert picture_of(getattr(answer, output)).shape == (100, 100, 3)


def test_the_heatmap_of_a_layer_has_larger_squares(
    client: httpx.Client, photo: bytes, model: ModelInfo
) -> None:
    layer = min((one for one in model.layers if one.has_picture), key=lambda one: one.shape[1])
    factor = 64 // layer.shape[1]

    answer = explain(client, photo, layer=layer.name, output="heatmap,relevance", size=64)

    share = array_of(answer.relevance).astype(np.float64) / answer.bound
    expected = color_table("bwr")[np.rint(127 + 127 * share).astype(int)]
    expected = expected.repeat(factor, axis=0).repeat(factor, axis=1)
    assert factor > 2
    assert np.array_equal(picture_of(answer.heatmap), expected)


# --- attributors


def test_a_seed_reproduces_the_relevance(client: httpx.Client, photo: bytes) -> None:
    asked = {"attributor": "smooth_grad", "n_samples": 3, "output": "relevance"}

    found = [send(client, photo, {**asked, "seed": seed}).content for seed in (1, 1, 2)]

    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize("composite", COMPOSITES)
def test_composites_differ(client: httpx.Client, photo: bytes, composite: str) -> None:
    asked = {"output": "relevance"}
    default = send(client, photo, asked).json()["relevance"]

    found = send(client, photo, {**asked, "composite": composite}).json()["relevance"]

    assert (found == default) is (composite == "epsilon_plus_flat")
