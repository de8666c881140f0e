"""Health, metadata, statistics and keys of the Open Inference Protocol over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from service import __version__
from service.api.protocols.open_inference.plan import OUTPUTS
from service.runtime.batcher import Full
from service.settings import DEFAULT_MODEL, Settings
from service.worker_state import State
from tests.api.in_process import Connection, FakeEngine, connect
from tests.api.protocols.open_inference_requests import INFER, error_of, files, infer, send, tensors

MODEL = f"/v2/models/{DEFAULT_MODEL}"
KEY = "a-key-of-the-tests"


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    with connect(Settings(), FakeEngine()) as made:
        yield made


@pytest.fixture(scope="module")
def guarded() -> Iterator[Connection]:
    with connect(Settings(api_keys=(KEY,), rate_limit="2/minute"), FakeEngine()) as made:
        yield made


def get(connection: Connection, path: str, status: int = 200) -> dict[str, Any]:
    answer = connection.request("GET", path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    found: dict[str, Any] = answer.json()
    return found


def test_metadata(connection: Connection) -> None:
    server = get(connection, "/v2")
    assert (server["name"], server["version"]) == ("lrpserve", __version__)
    assert {"binary_tensor_data", "classification", "parameters"} <= set(server["extensions"])
    model = get(connection, MODEL)
    assert (model["name"], model["versions"]) == (DEFAULT_MODEL, ["1"])
    assert model["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": [-1]}]
    assert tuple(output["name"] for output in model["outputs"]) == OUTPUTS
    assert get(connection, f"{MODEL}/versions/1") == model


def test_outputs_have_the_shapes_of_the_metadata(connection: Connection, photo: bytes) -> None:
    described = {one["name"]: one for one in get(connection, MODEL)["outputs"]}
    for output in infer(connection, files(photo), OUTPUTS).json()["outputs"]:
        assert output["datatype"] == described[output["name"]]["datatype"]
        sides = zip(output["shape"], described[output["name"]]["shape"], strict=True)
        assert all(free in (-1, side) for side, free in sides)


def test_the_configuration_has_the_tensors_of_the_metadata(connection: Connection) -> None:
    config, model = get(connection, f"{MODEL}/config"), get(connection, MODEL)
    assert (config["name"], config["max_batch_size"]) == (DEFAULT_MODEL, 0)
    assert [one["dims"] for one in config["output"]] == [one["shape"] for one in model["outputs"]]
    assert config["input"] == [{"name": "image", "data_type": "TYPE_STRING", "dims": [-1]}]


@pytest.mark.parametrize(
    ("path", "name"),
    [("/v2/health/live", "live"), ("/v2/health/ready", "ready"), (f"{MODEL}/ready", "ready")],
)
def test_health(connection: Connection, path: str, name: str) -> None:
    assert get(connection, path)[name] is True
    with connection.state(State.BROKEN):
        assert get(connection, path, 503)[name] is False
    with connection.state(State.STARTING):
        assert connection.request("GET", path).status_code == (200 if name == "live" else 503)


def test_the_index_lists_models_and_states(connection: Connection) -> None:
    index = "/v2/repository/index"
    (entry,) = connection.request("POST", index).json()
    assert entry == {"name": DEFAULT_MODEL, "version": "1", "state": "READY", "reason": ""}
    with connection.state(State.STARTING):
        (entry,) = connection.request("POST", index, json={}).json()
        assert (entry["state"], entry["reason"]) == ("LOADING", "the service is starting")
        assert connection.request("POST", index, json={"ready": True}).json() == []
    error_of(connection.request("POST", index, content=b"["), 400, "not valid JSON")


def test_models_are_loaded_where_that_is_allowed(connection: Connection) -> None:
    path = f"/v2/repository/models/{DEFAULT_MODEL}"
    error_of(connection.request("POST", f"{path}/load", json={}), 403, "LRPSERVE_MODEL_CONTROL")
    with connect(Settings(model_control="open"), FakeEngine()) as opened:
        answer = opened.request("POST", f"{path}/load", json={"parameters": {}})
        assert (answer.status_code, answer.json()["is_changed"]) == (200, False)
        error_of(opened.request("POST", f"{path}/unload"), 409, "default model")
        error_of(opened.request("POST", "/v2/repository/models/wolf/load"), 404, "wolf")


@pytest.mark.parametrize("name", ["config", "file:1/model.onnx"])
def test_a_model_is_not_replaced_by_a_request(connection: Connection, name: str) -> None:
    path = f"/v2/repository/models/{DEFAULT_MODEL}/load"
    answer = connection.request("POST", path, json={"parameters": {name: "{}"}})
    error_of(answer, 422, f"{name}: a model is loaded from the bundle in its folder")


@pytest.mark.parametrize("verb", ["load", "unload"])
def test_a_body_that_is_no_json_is_told_without_tensors(connection: Connection, verb: str) -> None:
    path = f"/v2/repository/models/{DEFAULT_MODEL}/{verb}"
    assert "tensors" not in error_of(connection.request("POST", path, content=b"{"), 400, "JSON")
    answer = connection.request("POST", path, json={"parameters": []})
    if verb == "load":
        error_of(answer, 400, "`parameters` must be an object")


def test_statistics_count_images(photo: bytes) -> None:
    with connect(Settings(), FakeEngine()) as connection:
        infer(connection, files(photo, photo), ["scores"])
        infer(connection, files(b"no image"), ["scores"])
        (found,) = get(connection, f"{MODEL}/stats")["model_stats"]
        assert (found["name"], found["version"]) == (DEFAULT_MODEL, "1")
        assert (found["inference_count"], found["execution_count"] in (1, 2)) == (2, True)
        stats = found["inference_stats"]
        assert {name: one["count"] for name, one in stats.items()} == {
            "success": 2,
            "fail": 1,
            "queue": 2,
            "compute_infer": 2,
        }
        assert stats["success"]["ns"] > 0
        assert found["last_inference"] > 1e12
        assert get(connection, "/v2/models/stats")["model_stats"][0]["inference_count"] == 2


def test_infer_needs_a_key_and_counts_against_its_limit(guarded: Connection, photo: bytes) -> None:
    for path in ("/v2", MODEL, f"{MODEL}/ready"):
        error_of(guarded.request("GET", path), 401, "an API key is needed")
    error_of(infer(guarded, files(photo), ["scores"]), 401, "Authorization: Bearer KEY")
    key = {"Authorization": f"Bearer {KEY}"}
    fields = {"inputs": [files(photo)], "outputs": [{"name": "scores"}]}
    assert set(tensors(send(guarded, fields, headers=key))) == {"scores"}
    assert set(tensors(send(guarded, fields, headers=key))) == {"scores"}
    answer = send(guarded, fields, headers=key)
    error_of(answer, 429, "2 requests per minute")
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize("path", [INFER, f"{MODEL}/versions/1/infer"])
def test_infer_is_refused_unread_while_the_queue_is_full(
    photo: bytes, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    def refuse(item: object) -> None:
        raise Full

    with connect(Settings(), FakeEngine()) as connection:
        batcher = connection.app_state.queue._batcher
        monkeypatch.setattr(batcher, "is_full", lambda client: True)
        monkeypatch.setattr(batcher, "put", refuse)
        error_of(connection.request("POST", path, content=b"not read"), 429, "try again in")
        template = path.replace(DEFAULT_MODEL, "{model}").replace("/1/", "/{version}/")
        text = connection.request("GET", "/metrics").text
        labels = f'composite="",model="",route="{template}",status="429"'
        assert f"lrpserve_requests_total{{{labels}}} 1.0" in text


def test_requests_are_counted_by_model_and_composite(connection: Connection, photo: bytes) -> None:
    infer(connection, files(photo), ["heatmap"])
    text = connection.request("GET", "/metrics").text
    route = "/v2/models/{model}/infer"
    assert f'model="{DEFAULT_MODEL}",route="{route}",status="200"' in text
    assert f'composite="epsilon_plus_flat",model="{DEFAULT_MODEL}",route="{route}"' in text


def test_the_loading_service_says_so(connection: Connection, photo: bytes) -> None:
    with connection.loading():
        answer = infer(connection, files(photo), ["scores"])
        error_of(answer, 503, "is starting")
        assert answer.headers["retry-after"] == "1"


def test_bodies_have_their_bound(photo: bytes) -> None:
    with connect(Settings(max_body_bytes=1000), FakeEngine()) as connection:
        error_of(infer(connection, files(photo), ["scores"]), 413, "more than 1000 bytes")
