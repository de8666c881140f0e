"""`layers`: the relevance of several layers in one response."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from service.api.request.accept import JSON, NPY, PNG
from service.api.response.layer_schemas import LayersOfTargetsResponse, LayersResponse
from service.api.response.result_schemas import ExplainResults
from service.settings import Settings
from tests.api.in_process import INFOS, Connection, FakeEngine, connect, explain, explain_as
from tests.api.sending import FORMS, send, wrong_options

ALL = {"layers": "all", "output": "heatmap,relevance", "relevance_format": "list"}


@pytest.fixture(scope="module")
def served() -> Iterator[Connection]:
    with connect(Settings(), FakeEngine()) as connection:
        yield connection


@pytest.mark.parametrize("channels", ["sum", "all"])
@pytest.mark.parametrize("composite", ["epsilon_plus_flat", "guided_backprop"])
def test_each_layer_has_what_a_request_for_it_alone_has(
    client: httpx.Client, photo: bytes, composite: str, channels: str
) -> None:
    options = {"composite": composite, "channels": channels, "relevance_format": "list"}
    response = send(client, photo, options | ALL, form="json")
    assert response.status_code == 200, response.text
    LayersResponse.model_validate_json(response.content)
    listed = client.get("/models/minivgg-cifar10").json()["layers"]
    layers = response.json()["layers"]
    assert [one["layer"] for one in layers] == [info["name"] for info in listed]
    for one, info in zip(layers, listed, strict=True):
        output = "heatmap,relevance" if info["has_picture"] else "relevance"
        asked = options | {"layer": info["name"], "output": output}
        alone = send(client, photo, asked, form="json").json()
        wanted = np.array(alone["relevance"]["data"])
        assert one["relevance"]["shape"] == alone["relevance"]["shape"]
        limit = 1e-5 * np.abs(wanted).max()
        assert np.abs(np.array(one["relevance"]["data"]) - wanted).max() <= limit
        assert ("heatmap" in one) == info["has_picture"]
        del alone["conservation"]["by_layer"]
        assert one["conservation"].keys() == alone["conservation"].keys()
        for name, value in alone["conservation"].items():
            expected = None if value is None else pytest.approx(value, rel=1e-3, abs=1e-4)
            assert one["conservation"][name] == expected
        assert one["bound"] == pytest.approx(alone["bound"], rel=1e-5)
        assert response.json()["target"]["index"] == alone["target"]["index"]


@pytest.mark.parametrize("form", FORMS)
def test_some_layers_by_name(client: httpx.Client, photo: bytes, form: str) -> None:
    names: Any = ["features.0", "classifier.7"] if form == "json" else "features.0, classifier.7"
    response = send(client, photo, {"layers": names}, form=form)
    assert [one["layer"] for one in response.json()["layers"]] == ["classifier.7", "features.0"]
    assert response.json()["method"]["layer"] is None


def test_layers_of_several_targets_and_of_several_images(
    client: httpx.Client, photo: bytes
) -> None:
    options = {"layers": ["input", "features.0"], "targets": ["cat", "dog"]}
    response = send(client, photo, options, form="json")
    LayersOfTargetsResponse.model_validate_json(response.content)
    explanations = response.json()["explanations"]
    assert [len(one["layers"]) for one in explanations] == [2, 2]
    assert explanations[0]["layers"][0] != explanations[1]["layers"][0]
    results = client.post("/explain", files=[("image", photo)] * 2, data={"layers": "all"})
    ExplainResults.model_validate_json(results.content)
    assert [len(one["layers"]) for one in results.json()["results"]] == [16, 16]


@pytest.mark.parametrize("attributor", ["smooth_grad", "integrated_gradients", "occlusion"])
def test_the_other_attributors_have_no_layers_at_once(
    served: Connection, photo: bytes, attributor: str
) -> None:
    problems = wrong_options(explain(served, photo, layers="all", attributor=attributor))
    assert "need the attributor gradient" in problems["layers"]


@pytest.mark.parametrize(
    ("options", "option", "words"),
    [
        ({"layers": "all", "layer": "classifier"}, "layer", "does not go with `layers`"),
        ({"layers": "nothing,classifier"}, "layers", "features.0, input"),
        ({"layers": "classifier,classifier"}, "layers", "once"),
        ({"layers": "classifier,,input"}, "layers", "names of layers"),
        ({"layers": "all", "channels": "all", "output": "relevance"}, None, ""),
    ],
)
def test_options_that_contradict_each_other(
    served: Connection, photo: bytes, options: dict[str, Any], option: str | None, words: str
) -> None:
    response = explain(served, photo, **options)
    if option is None:
        shapes = [one["relevance"]["shape"] for one in response.json()["layers"]]
        assert shapes == [list(info.shape) for info in INFOS]
        return
    assert words in wrong_options(response)[option]


@pytest.mark.parametrize("accept", [PNG, NPY])
def test_layers_fit_into_json_only(served: Connection, photo: bytes, accept: str) -> None:
    problems = wrong_options(explain_as(accept, served, photo, layers="all"))
    assert problems == {"layers": f"fit into JSON only: accept {JSON}"}


def test_pictures_of_all_layers_are_bounded_together(photo: bytes) -> None:
    with connect(Settings(max_picture_pixels=1 << 16), FakeEngine()) as connection:
        problems = wrong_options(explain(connection, photo, layers="all", size=182))
        assert "2 pictures of 182 x 182" in problems["size"]
        assert explain(connection, photo, layers="all", size=181).status_code == 200
