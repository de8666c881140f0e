"""Several models: each request is resolved against the model that it names."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from service.api.request.accept import PNG
from service.methods import COMPOSITES
from service.models.card import ModelCard
from service.settings import Settings
from service.worker_state import State
from tests.api.in_process import Connection, FakeEngine, connect, explain, explain_as
from tests.api.sending import wrong_options

RAW = {"Content-Type": "image/jpeg"}
OWN_COMPOSITES = {"smooth": [{"layers": "type:linear", "rule": "gamma", "gamma": 2}]}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, card: ModelCard) -> Iterator[Connection]:
    folder = tmp_path_factory.mktemp("models")
    other = card.model_dump(mode="json") | {
        "name": "other",
        "labels": [f"class {n}" for n in range(10)],
        "input_size": [48, 64],
        "composites": OWN_COMPOSITES,
    }
    (folder / "other").mkdir()
    (folder / "other" / "model.json").write_text(json.dumps(other))
    with connect(Settings(models=folder), FakeEngine(card.name, "other")) as made:
        yield made


def test_a_model_is_chosen_by_its_name(two: Connection, photo: bytes, card: ModelCard) -> None:
    for name, labels in ((None, card.labels), (card.name, card.labels), ("other", ("class 0",))):
        chosen = {} if name is None else {"model": name}
        answer = explain(two, photo, **chosen, target=labels[0]).json()
        assert (answer["model"], answer["target"]["label"]) == (name or card.name, labels[0])
        params = {"top_k": "1", **chosen}
        predicted = two.request("POST", "/predict", content=photo, params=params, headers=RAW)
        assert predicted.json()["model"] == (name or card.name)


def test_options_are_checked_against_the_named_model(two: Connection, photo: bytes) -> None:
    assert "class 0" in wrong_options(explain(two, photo, model="other", target="cat"))["target"]
    assert wrong_options(explain(two, photo, target="class 0"))["target"]


def test_an_unknown_model_is_refused(two: Connection, photo: bytes, card: ModelCard) -> None:
    for path in ("/explain", "/predict"):
        params = {"model": "resnet50"}
        answer = two.request("POST", path, content=photo, params=params, headers=RAW)
        said = f"there is no such model; there are: {card.name}, other"
        assert wrong_options(answer) == {"model": said}


def test_a_bundles_composite_is_for_its_model_only(two: Connection, photo: bytes) -> None:
    method = explain(two, photo, model="other", composite="smooth").json()["method"]

    assert method["composite"] == "smooth"
    assert [rule["gamma"] for rule in method["rules"]] == [2.0]
    problems = wrong_options(explain(two, photo, composite="smooth"))
    assert problems == {"composite": f"must be one of: {', '.join(COMPOSITES)}; or a list of rules"}
    problems = wrong_options(explain(two, photo, model="other", composite="rough"))
    assert "none, smooth; or a list of rules" in problems["composite"]


def test_default_windows_depend_on_the_models_input_size(two: Connection, photo: bytes) -> None:
    for model, window in (("minivgg-cifar10", 8), ("other", 12)):
        method = explain(two, photo, model=model, attributor="occlusion").json()["method"]
        assert (method["window"], method["stride"]) == (window, window // 2)


def test_pictures_have_the_proportions_of_the_models_input(two: Connection, photo: bytes) -> None:
    for layer in ("input", "features.0"):
        options = {"model": "other", "layer": layer, "size": 96}
        for output in ("heatmap", "overlay"):
            answer = explain_as(PNG, two, photo, **options, output=output)
            assert answer.status_code == 200
            assert png_size(answer.content) == (96, 72)


def png_size(content: bytes) -> tuple[int, int]:
    return int.from_bytes(content[16:20]), int.from_bytes(content[20:24])


def test_models_are_ready_in_the_state_ready_only(two: Connection) -> None:
    for state in State:
        with two.state(state):
            models = two.request("GET", "/models").json()["models"]
        assert [model["ready"] for model in models] == [state is State.READY] * 2
