from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

import httpx
import pytest

from service.api.response.schemas import ModelInfo, ModelList
from service.imaging.colormaps import COLORMAPS
from service.methods import (
    ATTRIBUTORS,
    COMPOSITES,
    RULES,
    TYPES,
    Parameter,
    make_method,
    parse_rules,
)
from service.models.card import ModelCard
from service.settings import Settings
from tests.api.in_process import INFOS, Connection, FakeEngine, connect
from tests.api.sending import QUICK, problem_of, send

MINE = {"mine": [{"rule": "epsilon", "zero_bias": True, "epsilon": 1, "layers": "type:linear"}]}


@pytest.fixture
def model(client: httpx.Client, card: ModelCard) -> ModelInfo:
    return ModelInfo.model_validate_json(client.get(f"/models/{card.name}").content)


def test_the_served_model_is_listed(client: httpx.Client, model: ModelInfo) -> None:
    listed = ModelList.model_validate_json(client.get("/models").content)

    assert listed.models == [model]
    assert model.default
    assert model.ready


def test_a_model_has_the_fields_of_its_card(model: ModelInfo, card: ModelCard) -> None:
    told = model.model_dump(mode="json")
    written = card.model_dump(mode="json")

    assert told["own_composites"] == written.pop("composites")
    assert {name: told[name] for name in written} == written


def described(parameters: Iterable[Parameter]) -> list[dict[str, Any]]:
    return [asdict(one) | {"choices": list(one.choices)} for one in parameters]


def test_a_model_lists_its_methods(model: ModelInfo) -> None:
    assert {one.name: one.text for one in model.colormaps} == COLORMAPS
    assert model.types == TYPES
    told: list[tuple[list[Any], Iterable[Any]]] = [
        (model.attributors, ATTRIBUTORS.values()),
        (model.composites, COMPOSITES.values()),
        (model.rules, RULES.values()),
    ]
    for listed, registry in told:
        for found, entry in zip(listed, registry, strict=True):
            fields = found.model_dump()
            fields.pop("rules", None)
            fields.pop("start", None)  # of the model's own
            assert fields.pop("parameters") == described(entry.parameters)
            assert fields == {name: getattr(entry, name) for name in fields}


def test_a_composites_rules_have_the_form_of_a_request(model: ModelInfo) -> None:
    for found in model.composites:
        method = make_method(found.name, "gradient", {})
        written = parse_rules([one.root for one in found.rules]) if found.rules else ()
        assert [(one.layers, one.rule) for one in written] == [
            (one.layers, one.rule) for one in method.rules
        ]


def test_a_composite_has_the_start_that_a_request_gets(
    client: httpx.Client, photo: bytes, model: ModelInfo
) -> None:
    for found in model.composites:
        answer = send(client, photo, {"composite": found.name})
        assert answer.json()["method"]["start"] == found.start


def test_layers_are_listed_with_kind_and_shape(model: ModelInfo) -> None:
    names = [layer.name for layer in model.layers]

    assert len(set(names)) == len(names) > 10
    image = next(layer for layer in model.layers if layer.name == "input")
    assert (image.shape, image.has_picture) == ([3, 32, 32], True)
    assert {"Conv2d", "ReLU", "Linear"} <= {layer.kind for layer in model.layers}
    for layer in model.layers:
        assert layer.has_picture is (len(layer.shape) == 3)


def test_everything_that_is_listed_can_be_requested(
    client: httpx.Client, photo: bytes, model: ModelInfo
) -> None:
    asked = {"model": model.name, "output": "relevance", "top_k": 1}
    entries = [("composite", one.name, one.parameters) for one in model.composites]
    entries += [("attributor", one.name, one.parameters) for one in model.attributors]
    for kind, entry, parameters in entries:
        values = {p.name: p.default for p in parameters if p.default is not None}
        values |= {name: value for name, value in QUICK.items() if name in values}
        answer = send(client, photo, {**asked, kind: entry, **values})
        assert {name: answer.json()["method"][name] for name in values} == values
    for name in COLORMAPS:
        assert send(client, photo, {"cmap": name}).status_code == 200
    for layer in model.layers:
        output = "heatmap" if layer.has_picture else "relevance"
        answer = send(client, photo, {**asked, "layer": layer.name, "output": output})
        assert answer.status_code == 200


def test_each_rule_can_be_given_to_some_layer(
    client: httpx.Client, photo: bytes, model: ModelInfo
) -> None:
    places = {
        "affine": "first:convolution",
        "averaging": "type:linear",
        "elementwise": "type:activation",
        "relu": "type:relu",
        "any": "*",
    }
    for rule in model.rules:
        values = {p.name: p.default for p in rule.parameters}
        rules = [{"layers": places[rule.affects], "rule": rule.name, **values}]
        method = send(client, photo, {"composite": rules}).json()["method"]
        assert method["rules"] == rules


def test_responses_name_the_model(client: httpx.Client, photo: bytes, model: ModelInfo) -> None:
    answer = send(client, photo).json()

    assert (answer["model"], answer["model_sha256"]) == (model.name, model.sha256)


@pytest.mark.parametrize("name", ["resnet50", "MiniVGG-CIFAR10", "minivgg-cifar10%20", "\u00e9"])
def test_an_unknown_model_is_a_404(client: httpx.Client, card: ModelCard, name: str) -> None:
    problem_of(client.get(f"/models/{name}"), 404, f"there are: {card.name}")


# --- several models


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, card: ModelCard) -> Iterator[Connection]:
    folder = tmp_path_factory.mktemp("models")
    for name in ("first", "second"):
        written = card.model_copy(update={"name": name, "composites": MINE})
        (folder / name).mkdir()
        (folder / name / "model.json").write_text(written.model_dump_json())
    settings = Settings(model="second", models=folder)
    with connect(settings, FakeEngine("first", "second")) as made:
        yield made


def listed(connection: Connection) -> dict[str, ModelInfo]:
    models = ModelList.model_validate_json(connection.request("GET", "/models").content).models
    return {model.name: model for model in models}


def test_every_model_is_listed_and_one_is_the_default(two: Connection) -> None:
    assert {name: model.default for name, model in listed(two).items()} == {
        "second": True,
        "first": False,
    }
    for name, model in listed(two).items():
        alone = two.request("GET", f"/models/{name}")
        assert ModelInfo.model_validate_json(alone.content) == model
        assert json.dumps(alone.json()["own_composites"]) == json.dumps(MINE)  # as it was written
        assert [layer.name for layer in model.layers] == [layer.name for layer in INFOS]


def test_models_have_no_layers_until_they_are_loaded(two: Connection) -> None:
    with two.loading():
        models = listed(two).values()

    assert [(model.ready, model.layers) for model in models] == [(False, []), (False, [])]
    assert all(model.ready and model.layers for model in listed(two).values())


def test_a_404_names_the_served_models(two: Connection, card: ModelCard) -> None:
    answer = two.request("GET", f"/models/{card.name}")  # it ships, but is not served

    problem_of(answer, 404, "there are: second, first")
