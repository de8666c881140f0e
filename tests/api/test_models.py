from __future__ import annotations

from dataclasses import asdict

import httpx
import pytest

from service.api.schemas import ModelInfo, ModelList
from service.imaging.colormaps import COLORMAPS
from service.methods import ATTRIBUTORS, COMPOSITES, LAYERS
from service.models.card import ModelCard
from tests.api.sending import problem_of, send


@pytest.fixture
def model(client: httpx.Client, card: ModelCard) -> ModelInfo:
    return ModelInfo.model_validate_json(client.get(f"/models/{card.name}").content)


def test_the_list_has_the_one_that_is_loaded(client: httpx.Client, model: ModelInfo) -> None:
    listed = ModelList.model_validate_json(client.get("/models").content)

    assert listed.models == [model]
    assert model.default


def test_a_model_has_everything_that_its_card_says(model: ModelInfo, card: ModelCard) -> None:
    told = model.model_dump(mode="json")
    written = card.model_dump(mode="json")

    assert {name: told[name] for name in written} == written


def test_a_model_says_what_can_be_asked_of_it(model: ModelInfo) -> None:
    assert model.layers == list(LAYERS)
    assert model.colormaps == COLORMAPS
    assert [found.model_dump() for found in model.attributors] == [
        asdict(attributor) for attributor in ATTRIBUTORS.values()
    ]
    for found, composite in zip(model.composites, COMPOSITES.values(), strict=True):
        assert found.name == composite.name
        assert found.text == composite.text
        assert found.source
        assert found.conserves == composite.conserves
        assert [p.model_dump() for p in found.parameters] == [
            asdict(parameter) for parameter in composite.parameters
        ]


def test_what_is_listed_can_be_asked_for(
    client: httpx.Client, photo: bytes, model: ModelInfo
) -> None:
    for composite in model.composites:
        defaults = {parameter.name: parameter.default for parameter in composite.parameters}
        options = {"composite": composite.name, "model": model.name, **defaults}
        method = send(client, photo, options).json()["method"]
        assert {name: method[name] for name in defaults} == defaults
    for name in model.colormaps:
        assert send(client, photo, {"cmap": name}).status_code == 200
    for name in model.layers:
        assert send(client, photo, {"layer": name}).status_code == 200


def test_answers_name_the_model(client: httpx.Client, photo: bytes, model: ModelInfo) -> None:
    answer = send(client, photo).json()

    assert (answer["model"], answer["model_sha256"]) == (model.name, model.sha256)


@pytest.mark.parametrize("name", ["resnet50", "MiniVGG-CIFAR10", "minivgg-cifar10%20", "\u00e9"])
def test_there_is_no_other_model(client: httpx.Client, card: ModelCard, name: str) -> None:
    problem_of(client.get(f"/models/{name}"), 404, f"loaded is: {card.name}")
