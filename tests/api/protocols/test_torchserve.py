"""TorchServe's protocol: predictions, explanations, health, and its errors."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from service.runtime.jobs import ExplainJob
from service.settings import DEFAULT_MODEL, Settings
from service.worker_state import State
from tests.api.in_process import Connection, FakeEngine, connect
from tests.api.sending import multipart, part

PREDICTIONS, EXPLANATIONS = f"/predictions/{DEFAULT_MODEL}", f"/explanations/{DEFAULT_MODEL}"


@pytest.fixture(scope="module")
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture(scope="module")
def connection(engine: FakeEngine) -> Iterator[Connection]:
    with connect(Settings(), engine) as made:
        yield made


def error_of(answer: httpx.Response, code: int, kind: str, *words: str) -> None:
    """Check that an answer is an error of TorchServe's, with these words."""
    assert answer.status_code == code, answer.text[:500]
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()
    assert (error["code"], error["type"], error.keys()) == (code, kind, {"code", "type", "message"})
    for word in words:
        assert word in error["message"]


def bodies(image: bytes) -> dict[str, dict[str, Any]]:
    """An image as TorchServe's clients send it."""
    text = base64.b64encode(image).decode()
    return {
        "raw": {"content": image},
        "jpeg": {"content": image, "headers": {"Content-Type": "image/jpeg"}},
        "as a form's default": {
            "content": image,
            "headers": {"Content-Type": "application/x-www-form-urlencoded"},
        },
        "file": {"files": {"data": ("horse.jpg", image)}},
        "file without a name": multipart([part("data", image)]),
        "json": {"json": {"data": text}},
        "json body": {"json": {"body": text}},
    }


@pytest.mark.parametrize("form", bodies(b""))
@pytest.mark.parametrize("method", ["PUT", "POST"])
@pytest.mark.parametrize("version", ["", "/1.0", "/1"])
def test_a_prediction_is_the_probabilities_by_label(
    connection: Connection, photo: bytes, method: str, form: str, version: str
) -> None:
    answer = connection.request(method, PREDICTIONS + version, **bodies(photo)[form])
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    own = connection.request("POST", "/predict", files={"image": photo}).json()["predictions"]
    assert answer.json() == {each["label"]: each["probability"] for each in own}
    assert len(answer.json()) == 5


def test_an_explanation_is_nested_lists_of_every_channel(
    connection: Connection, photo: bytes
) -> None:
    answer = connection.request("PUT", EXPLANATIONS, content=photo)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    options = {"output": "relevance", "channels": "all", "relevance_format": "list"}
    own = connection.request("POST", "/explain", files={"image": photo}, data=options).json()
    assert answer.json() == own["relevance"]["data"]
    assert np.array(answer.json()).shape == (3, 32, 32)


@pytest.mark.parametrize("place", ["query", "form", "json"])
def test_an_explanation_is_of_the_target(
    connection: Connection, engine: FakeEngine, photo: bytes, place: str
) -> None:
    engine.jobs.clear()
    requests: dict[str, dict[str, Any]] = {
        "query": {"content": photo, "params": {"target": "3"}},
        "form": {"files": {"data": ("a.jpg", photo)}, "data": {"target": "3"}},
        "json": {"json": {"data": base64.b64encode(photo).decode(), "target": 3}},
    }
    answer = connection.request("POST", f"{EXPLANATIONS}/1.0", **requests[place])
    assert answer.status_code == 200
    assert [job.targets for job in engine.jobs if isinstance(job, ExplainJob)] == [(3,)]


def test_an_explanation_is_in_the_format_that_is_accepted(
    connection: Connection, photo: bytes
) -> None:
    def explain(accept: str, **params: str) -> httpx.Response:
        headers = {"Accept": accept}
        return connection.request(
            "POST", EXPLANATIONS, content=photo, params=params, headers=headers
        )

    assert explain("image/png").content.startswith(b"\x89PNG")
    assert np.load(io.BytesIO(explain("application/x-npy").content)).shape == (3, 32, 32)
    assert "heatmap" in explain("application/json", output="heatmap").json()
    assert "layers" in explain("application/json", layers="all", output="relevance").json()
    assert np.array(explain("*/*", channels="sum").json()).shape == (32, 32)
    for unknown in ("text/html", "text/html, image/gif, *; q=.2"):
        assert np.array(explain(unknown).json()).shape == (3, 32, 32)


def test_several_targets_are_a_list_of_explanations(connection: Connection, photo: bytes) -> None:
    content = {"data": base64.b64encode(photo).decode(), "targets": [1, 2]}
    answer = connection.request("POST", EXPLANATIONS, json=content)
    assert np.array(answer.json()).shape == (2, 3, 32, 32)


@pytest.mark.parametrize("path", [PREDICTIONS, EXPLANATIONS])
def test_errors_are_torchserves(connection: Connection, path: str, photo: bytes) -> None:
    def send(path: str, **content: Any) -> httpx.Response:
        return connection.request("POST", path, **content)

    missing, kind = path.replace(DEFAULT_MODEL, "nope"), "ModelNotFoundException"
    error_of(send(missing, content=photo), 404, kind, "no model 'nope'", DEFAULT_MODEL)
    kind = "ModelVersionNotFoundException"
    error_of(send(f"{path}/2.0", content=photo), 404, kind, "no version '2.0'")
    kind = "ResourceNotFoundException"
    error_of(send(f"{path}/1.0/more", content=photo), 404, kind, "no path")
    kind = "MethodNotAllowedException"
    error_of(connection.request("GET", path), 405, kind, "POST, PUT")
    kind = "BadRequestException"
    error_of(send(path, content=b"not an image"), 400, kind, "are not a PNG")
    error_of(send(path, content=b""), 400, kind, "the body is empty")
    error_of(send(path, files={"image": photo}), 400, kind, "send it in the field `data`")
    error_of(send(path, json={"data": 5}), 400, kind, "must be a string")
    error_of(send(path, json={}), 400, kind, 'the body has no image; send one: {"data"')
    error_of(send(path, content=photo, params={"top_k": "x"}), 422, kind, "top_k: ")
    error_of(send(path, content=photo, params={"model": "x"}), 422, kind, "is named by the path")


def test_health_is_pinged_without_a_key() -> None:
    key = "a-long-enough-key-of-mine"
    with connect(Settings(api_keys=(key,)), FakeEngine()) as connection:
        answer = connection.request("GET", "/ping")
        assert (answer.status_code, answer.json()) == (200, {"status": "Healthy"})
        with connection.state(State.STARTING):
            answer = connection.request("GET", "/ping")
            assert (answer.status_code, answer.json()) == (503, {"status": "Unhealthy"})
        error_of(connection.request("PUT", PREDICTIONS), 401, "InvalidKeyException")


def test_requests_are_refused_while_the_model_is_loaded(
    connection: Connection, photo: bytes
) -> None:
    with connection.loading():
        answer = connection.request("PUT", PREDICTIONS, content=photo)
    error_of(answer, 503, "ServiceUnavailableException", "is starting")
    assert answer.headers["retry-after"] == "1"


def test_requests_are_shed_while_the_queue_is_full(
    connection: Connection, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    batcher = connection.app_state.queue._batcher
    monkeypatch.setattr(batcher, "is_full", lambda client: True)
    for path in (EXPLANATIONS, f"{EXPLANATIONS}/1.0"):
        answer = connection.request("PUT", path, content=photo)
        error_of(answer, 429, "ServiceUnavailableException", "are waiting already")
    text = connection.request("GET", "/metrics").text
    assert 'route="/explanations/{model}/{version}",status="429"' in text
