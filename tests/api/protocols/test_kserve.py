"""KServe v1: models, their readiness, and several images in a request."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from service.runtime.batcher import Full
from service.runtime.jobs import ExplainJob, PredictJob
from service.settings import DEFAULT_MODEL, Settings
from service.worker_state import State
from tests.api.in_process import Connection, FakeEngine, connect
from tests.api.protocols.v1 import PATH, encode, error_of, post, results

OTHER = "other.model-1.0"


@pytest.fixture(scope="module")
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture(scope="module")
def connection(engine: FakeEngine) -> Iterator[Connection]:
    with connect(Settings(max_images=4), engine) as made:
        yield made


# --- models


def test_models_are_listed(connection: Connection) -> None:
    answer = connection.request("GET", "/v1/models")
    assert (answer.status_code, answer.json()) == (200, {"models": [DEFAULT_MODEL]})


def test_a_model_is_ready(connection: Connection) -> None:
    answer = connection.request("GET", PATH)
    assert (answer.status_code, answer.json()) == (200, {"name": DEFAULT_MODEL, "ready": True})


@pytest.mark.parametrize("state", [State.STARTING, State.DRAINING, State.BROKEN])
def test_a_model_that_takes_no_requests_is_not_ready(connection: Connection, state: State) -> None:
    with connection.state(state):
        answer = connection.request("GET", PATH)
    error_of(answer, 503, "is not ready", state.value)
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize("suffix", ["", ":predict", ":explain"])
def test_there_is_no_such_model(connection: Connection, suffix: str) -> None:
    method = "POST" if suffix else "GET"
    answer = connection.request(method, f"/v1/models/nope{suffix}", json={})
    error_of(answer, 404, "no model 'nope'", DEFAULT_MODEL)


def test_names_of_models_may_have_dots(photo: bytes) -> None:
    settings = Settings(model_name=OTHER)
    with connect(settings, FakeEngine(OTHER)) as connection:
        assert connection.request("GET", "/v1/models").json() == {"models": [OTHER]}
        for colon in (":", "%3A", "%3a"):
            path = f"/v1/models/{OTHER}{colon}predict"
            answer = connection.request("POST", path, json={"instances": [encode(photo)]})
            assert results(answer)[0]["model"] == OTHER


def test_the_root_is_alive_to_clients_and_a_page_to_browsers(connection: Connection) -> None:
    for accept in ("*/*", "application/json", "image/png, */*;q=0.5"):
        answer = connection.request("GET", "/", headers={"Accept": accept})
        assert (answer.status_code, answer.json()) == (200, {"status": "alive"})
        assert "Accept" in answer.headers["vary"]
    browsers = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    page = connection.request("GET", "/", headers={"Accept": browsers, "Accept-Encoding": "gzip"})
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["vary"] == "Accept-Encoding, Accept"


# --- images


def test_results_are_in_the_order_of_the_instances(connection: Connection, photo: bytes) -> None:
    sizes = [(40, 32), (32, 50), (60, 32)]
    images = [np.full((height, width, 3), 7, np.uint8).tolist() for width, height in sizes]
    found = results(post(connection, [*images, encode(photo)]))
    assert [each["status"] for each in found] == [200] * 4
    assert [(each["image"]["width"], each["image"]["height"]) for each in found[:3]] == sizes


def test_a_prediction_is_that_of_predict(connection: Connection, photo: bytes) -> None:
    (found,) = results(post(connection, [encode(photo)], parameters={"top_k": 2}))
    headers = {"Content-Type": "image/jpeg"}
    own = connection.request("POST", "/predict?top_k=2", content=photo, headers=headers)
    assert found == {"status": 200, **own.json()}


def test_an_explanation_is_that_of_explain(connection: Connection, photo: bytes) -> None:
    options = {"target": 3, "output": "heatmap,relevance", "composite": "epsilon_gamma_box"}
    answer = post(connection, [encode(photo)], "explain", parameters=options)
    own = connection.request("POST", "/explain", json={"image": encode(photo), **options}).json()
    assert results(answer, "explanations") == [{"status": 200, **own}]
    (prediction,) = results(answer)
    assert prediction["predictions"] == own["predictions"]
    assert "heatmap" not in prediction


def test_a_bad_instance_fails_alone(connection: Connection, photo: bytes) -> None:
    instances = [encode(photo), encode(b"no image"), {"b64": encode(photo), "target": "unicorn"}]
    answer = post(connection, [*instances, encode(photo)], "explain")
    for name in ("predictions", "explanations"):
        found = results(answer, name)
        assert [each["status"] for each in found] == [200, 400, 422, 200]
        assert "target: must be" in found[2]["error"]
        assert "error" not in found[0]
        assert found[1].keys() == {"status", "error"}


@pytest.mark.parametrize("n", [1, 3])
def test_where_every_instance_has_the_same_error_so_has_the_request(
    connection: Connection, n: int, photo: bytes
) -> None:
    answer = post(connection, [encode(photo)] * n, target="unicorn", verb="explain")
    error = error_of(answer, 422, "target: must be")
    assert "instance" not in error
    assert [each["status"] for each in answer.json()["explanations"]] == [422] * n


def test_where_instances_fail_differently_the_error_names_each(
    connection: Connection, photo: bytes
) -> None:
    answer = post(connection, [5, {"b64": encode(photo), "top_k": 0}])
    error_of(answer, 400, "instance 0: ", "instance 1: top_k: ")


def test_the_status_is_that_of_an_error_that_can_be_retried(
    connection: Connection, photo: bytes
) -> None:
    with connection.loading():
        answer = post(connection, [5, encode(photo)])
    error_of(answer, 503, "is starting")
    assert answer.headers["retry-after"] == "1"


def test_options_of_an_instance_come_before_those_of_all(
    connection: Connection, engine: FakeEngine, photo: bytes
) -> None:
    engine.jobs.clear()
    instances = [encode(photo), {"b64": encode(photo), "target": 2}]
    parameters = {"composite": "epsilon_gamma_box"}
    results(post(connection, instances, "explain", target=1, parameters=parameters))
    jobs = [job for job in engine.jobs if isinstance(job, ExplainJob)]
    assert sorted(job.targets[0] or 0 for job in jobs) == [1, 2]
    assert {job.method.composite for job in jobs} == {"epsilon_gamma_box"}


def test_pixels_are_explained_as_the_file_of_the_same_image_is(
    connection: Connection, engine: FakeEngine
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    engine.jobs.clear()
    results(post(connection, [pixels.tolist(), {"data": pixels.astype(float).tolist()}]))
    jobs = [job for job in engine.jobs if isinstance(job, PredictJob)]
    assert all((job.pixels == pixels).all() for job in jobs)
    assert len(jobs) == 2


def test_a_raw_image_is_one_instance(connection: Connection, photo: bytes) -> None:
    path = f"{PATH}:predict?top_k=1"
    headers = {"Content-Type": "image/jpeg"}
    (found,) = results(connection.request("POST", path, content=photo, headers=headers))
    assert len(found["predictions"]) == 1


def test_the_path_names_the_model(connection: Connection, photo: bytes) -> None:
    error_of(post(connection, [encode(photo)], model=DEFAULT_MODEL), 422, "model: is named by")


def test_an_unknown_option_names_those_of_this_wire(connection: Connection, photo: bytes) -> None:
    error = error_of(post(connection, [encode(photo)], tok_k=1), 422, "tok_k: there is no such")
    allowed = error.rpartition("there are: ")[2].split(", ")
    assert "top_k" in allowed
    assert not {"image", "model"} & set(allowed)


def test_options_beside_json_do_not_stand_in_the_query(
    connection: Connection, photo: bytes
) -> None:
    content = {"instances": [encode(photo)]}
    answer = connection.request("POST", f"{PATH}:predict?top_k=1", json=content)
    error_of(answer, 422, "top_k: stands in the query; send all options in the body")


def test_there_is_a_bound_on_the_number_of_instances(connection: Connection, photo: bytes) -> None:
    error_of(post(connection, [encode(photo)] * 5), 413, "more than 4 images")


def test_the_instances_share_what_a_request_may_compute(
    connection: Connection, photo: bytes
) -> None:
    options = {"attributor": "smooth_grad", "n_samples": 128, "targets": [1, 2, 3]}
    assert len(results(post(connection, [encode(photo)], "explain", **options))) == 1
    answer = post(connection, [encode(photo)] * 4, "explain", **options)
    error_of(answer, 422, "1536 passes", "times 4 images")


# --- what holds for every request


def test_headers_of_a_request_do_not_come_back(connection: Connection, photo: bytes) -> None:
    headers = {"Authorization": "Bearer secret-1", "X-Anything": "secret-2"}
    content = {"instances": [encode(photo)]}
    answer = connection.request("POST", f"{PATH}:explain", json=content, headers=headers)
    assert "secret" not in answer.text + repr(answer.headers)


def test_requests_are_shed_while_the_queue_is_full(
    connection: Connection, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(item: Any) -> None:
        raise Full

    batcher = connection.app_state.queue._batcher
    monkeypatch.setattr(batcher, "is_full", lambda client: True)
    monkeypatch.setattr(batcher, "put", refuse)
    answer = post(connection, [encode(photo)], "explain")
    error_of(answer, 429, "are waiting already")
    assert int(answer.headers["retry-after"]) >= 1
    text = connection.request("GET", "/metrics").text
    assert 'route="/v1/models/{model}:explain",status="429"' in text


def test_a_key_is_needed_and_its_limit_holds(photo: bytes) -> None:
    settings = Settings(api_keys=("a-long-enough-key-of-mine",), rate_limit="1/hour")
    body = {"instances": [encode(photo)]}
    with connect(settings, FakeEngine()) as connection:
        for method, path in (("GET", "/v1/models"), ("GET", PATH), ("POST", f"{PATH}:predict")):
            error_of(connection.request(method, path, json=body), 401, "an API key is needed")
        headers = {"Authorization": "Bearer a-long-enough-key-of-mine"}
        first, second = (
            connection.request("POST", f"{PATH}:predict", json=body, headers=headers)
            for _ in range(2)
        )
        assert first.status_code == 200
        error_of(second, 429, "1 requests per hour")


def test_a_body_is_bounded_before_it_is_read(photo: bytes) -> None:
    with connect(Settings(max_body_bytes=1000), FakeEngine()) as connection:
        error_of(post(connection, ["A" * 2000]), 413, "more than 1000 bytes")


def test_a_request_is_logged_and_counted_by_its_route(
    connection: Connection, photo: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "service.api.middleware.request_context")
    results(post(connection, [encode(photo)] * 2, "explain"))
    fields = vars(caplog.records[-1])["fields"]
    assert (fields["model"], fields["images"], fields["status"]) == (DEFAULT_MODEL, 2, 200)
    text = connection.request("GET", "/metrics").text
    assert f'model="{DEFAULT_MODEL}",route="/v1/models/{{model}}:explain",status="200"' in text


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/v1/nope", 404), ("POST", PATH, 405)]
)
def test_errors_of_routing_can_be_read(
    connection: Connection, method: str, path: str, status: int
) -> None:
    error_of(connection.request(method, path), status)
