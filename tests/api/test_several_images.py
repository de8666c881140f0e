"""Several images in one request: each has the response, or the problem, that it has alone."""

from __future__ import annotations

import asyncio
import base64
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.api.request.accept import JSON, NPY, PNG
from service.api.response.problems import TYPE_PREFIX
from service.api.response.result_schemas import ExplainResults, PredictResults
from service.errors import OutOfMemory
from service.lrp.passes import Passes
from service.runtime.batcher import Outcomes
from service.runtime.jobs import Job, Result
from service.settings import Settings
from service.worker_state import State
from tests.api.in_process import Connection, FakeEngine, connect
from tests.api.sending import multipart, part, problem_of, send, wrong_options
from tests.helpers.gates import gated
from tests.helpers.requests import metric, wait_for_empty_queue

PATHS = ("/predict", "/explain")
LIMIT_S = 60.0


def as_base64(images: Sequence[bytes]) -> list[str]:
    return [base64.b64encode(image).decode() for image in images]


def results_of(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text[:500]
    results: list[dict[str, Any]] = response.json()["results"]
    return results


@pytest.fixture(scope="module")
def photos(samples: list[Path]) -> list[bytes]:
    return [path.read_bytes() for path in samples[:: len(samples) // 3][:3]]


# --- with the shipped model, in a process of its own


@pytest.mark.parametrize("path", PATHS)
def test_each_result_is_the_response_of_its_image(
    client: httpx.Client, photos: list[bytes], path: str
) -> None:
    options = {"top_k": 2}
    alone = [send(client, photo, options, form="json", path=path).json() for photo in photos]
    schema = PredictResults if path == "/predict" else ExplainResults
    forms = [
        client.post(path, json={"images": as_base64(photos), **options}),
        client.post(path, files=[("image", photo) for photo in photos], data={"top_k": "2"}),
        client.post(path, files=[("images", photo) for photo in photos], data={"top_k": "2"}),
        client.post(path, **multipart([part("top_k", b"2"), *(part("image", p) for p in photos)])),
    ]
    for response in forms:
        results = results_of(response)
        schema.model_validate_json(response.content)
        for result, single in zip(results, alone, strict=True):
            assert result.pop("status") == 200
            assert strip(result) == pytest.approx(strip(single), abs=1e-4)
            assert result.keys() == single.keys()


def strip(response: dict[str, Any]) -> dict[str, float]:
    """The numbers of a response that tell images apart."""
    return {str(each["index"]): each["logit"] for each in response["predictions"]}


@pytest.mark.parametrize("path", PATHS)
def test_an_image_that_cannot_be_read_fails_alone(
    client: httpx.Client, photos: list[bytes], path: str
) -> None:
    images = [*as_base64(photos[:1]), "not base64!", base64.b64encode(b"no image").decode(), ""]
    response = client.post(path, json={"images": [*images, *as_base64(photos[1:])]})
    results = results_of(response)
    assert [result["status"] for result in results] == [200, 400, 400, 400, 200, 200]
    kinds = [result["type"].removeprefix(TYPE_PREFIX) for result in results[1:4]]
    assert kinds == ["broken-request", "not-an-image", "not-an-image"]
    for result in results[1:4]:
        assert result["title"]
        assert result["detail"]
        assert result["request_id"] == response.headers["x-request-id"]


def test_images_that_are_all_bad_are_results_too(client: httpx.Client) -> None:
    results = results_of(client.post("/predict", files=[("image", b"1"), ("image", b"2")]))
    assert [result["status"] for result in results] == [400, 400]


def test_a_list_of_one_image_has_a_list_of_one_result(client: httpx.Client, photo: bytes) -> None:
    for body in ({"json": {"images": as_base64([photo])}}, {"files": [("images", photo)]}):
        (result,) = results_of(client.post("/predict", **body))
        assert result["status"] == 200


@pytest.mark.parametrize("accept", [PNG, NPY])
def test_pictures_and_arrays_hold_one_image(
    client: httpx.Client, photos: list[bytes], accept: str
) -> None:
    files = [("image", photo) for photo in photos]
    response = client.post("/explain", files=files, headers={"Accept": accept})
    problem_of(response, 406, "several images", f"accept one of: {JSON}")
    both = {"Accept": f"{accept}, {JSON};q=0.1"}
    assert len(results_of(client.post("/explain", files=files, headers=both))) == 3


def test_a_wrong_option_is_that_of_the_whole_request(
    client: httpx.Client, photos: list[bytes]
) -> None:
    response = client.post("/predict", json={"images": as_base64(photos), "top_k": 0})
    assert wrong_options(response).keys() == {"top_k"}


# --- bounds on all images together


@pytest.mark.parametrize(
    ("options", "option", "words"),
    [
        ({"attributor": "smooth_grad", "n_samples": 30}, "n_samples", "times 2 images"),
        ({"size": 2048, "output": "heatmap,overlay,view"}, "size", "6 pictures"),
    ],
)
def test_bounds_are_on_all_images_together(
    quick: Connection, photo: bytes, options: dict[str, Any], option: str, words: str
) -> None:
    assert post(quick, [photo], **options).status_code == 200
    problem = wrong_options(post(quick, [photo] * 2, **options))[option]
    assert words in problem
    assert "fewer images" in problem


@pytest.mark.parametrize("field", ["image", "images"])
def test_the_number_of_images_is_bounded(quick: Connection, photo: bytes, field: str) -> None:
    n_most = quick.app_state.settings.max_images
    for n, status in ((n_most, 200), (n_most + 1, 413)):
        as_form = quick.request("POST", "/explain", files=[(field, photo)] * n)
        without_names = multipart([part(field, photo)] * n)
        as_text = quick.request("POST", "/explain", **without_names)
        assert [as_form.status_code, as_text.status_code] == [status] * 2
    assert post(quick, [photo] * n_most).status_code == 200
    response = post(quick, [photo] * (n_most + 1))
    problem_of(response, 413, f"more than {n_most} images", "send several requests")


# --- with an engine of the test's choice


class HeldEngine(FakeEngine):
    """Runs no batch until the gate is open; `n_failing` jobs fail, in every batch that has them."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.n_failing = threading.Event(), 0
        self._failing: list[Job] = []

    def run_in_passes(self, jobs: Sequence[Job]) -> Passes[Outcomes[Result]]:
        assert self.gate.wait(LIMIT_S)
        return (yield from super().run_in_passes(jobs))

    def answer(self, job: Job) -> Result:
        if len(self._failing) < self.n_failing:
            self._failing.append(job)
        if any(job is each for each in self._failing):
            raise OutOfMemory("an image needs more memory than there is")
        return super().answer(job)


@pytest.fixture
def engine() -> HeldEngine:
    return HeldEngine()


@pytest.fixture
def quick(engine: HeldEngine) -> Iterator[Connection]:
    engine.gate.set()
    with connect(Settings(max_images=6, max_passes=40, cache_bytes=1 << 20), engine) as connection:
        yield connection


def post(connection: Connection, images: Sequence[bytes], **options: Any) -> httpx.Response:
    return connection.request("POST", "/explain", json={"images": as_base64(images), **options})


def n_jobs(connection: Connection, outcome: str) -> float:
    value: float = connection.app_state.metrics.jobs.labels(outcome)._value.get()
    return value


def post_until(
    connection: Connection,
    images: Sequence[bytes],
    is_over: Callable[[], bool],
    end: Callable[[], object],
) -> httpx.Response:
    """Send images, and do something when a condition holds while they wait."""

    async def scenario() -> httpx.Response:
        body = {"images": as_base64(images)}
        sending = asyncio.create_task(connection.client.post("/explain", json=body))
        while not (sending.done() or is_over()):  # noqa: ASYNC110  metrics have no event
            await asyncio.sleep(0.001)
        end()
        return await sending

    return connection.run(asyncio.wait_for(scenario(), LIMIT_S))


def test_the_bytes_of_a_list_count_until_it_is_answered(engine: HeldEngine, photo: bytes) -> None:
    with connect(Settings(), engine) as connection:
        budget, depth = connection.app_state.body_budget, connection.app_state.metrics.queue_depth
        held: list[int] = []

        def end() -> None:
            held.append(budget.n_bytes)
            engine.gate.set()

        response = post_until(connection, [photo] * 8, lambda: depth._value.get() >= 4, end)
        assert len(results_of(response)) == 8
        assert held[0] > 8 * len(photo)
        assert budget.n_bytes == 0


def test_images_that_do_not_fit_into_the_queue_fail_alone(engine: HeldEngine, photo: bytes) -> None:
    with connect(Settings(queue_size=2), engine) as connection:
        response = post_until(
            connection, [photo] * 8, lambda: n_jobs(connection, "rejected") >= 5, engine.gate.set
        )
    results = results_of(response)
    statuses = [result["status"] for result in results]
    assert statuses.count(429) == 8 - statuses.count(200)
    assert statuses[-1] == 429
    assert 200 in statuses
    assert results[-1]["type"] == TYPE_PREFIX + "queue-full"
    assert int(response.headers["retry-after"]) >= 1


def test_a_request_of_which_no_image_fits_is_refused(engine: HeldEngine, photo: bytes) -> None:
    with connect(Settings(deadline_s=0.3), engine) as connection:
        response = post(connection, [photo] * 3)
        problem_of(response, 504, "within 0.3 s")
        engine.gate.set()


@pytest.mark.parametrize("state", [State.STARTING, State.DRAINING])
def test_a_service_that_is_not_ready_refuses_the_request(
    quick: Connection, photo: bytes, state: State
) -> None:
    with quick.state(state):
        response = post(quick, [photo] * 3)
    problem_of(response, 503)
    assert response.headers["retry-after"] == "1"


def test_an_image_that_fails_on_the_device_fails_alone(
    engine: HeldEngine, quick: Connection, photo: bytes
) -> None:
    images = [photo, photo + b"1", photo + b"2"]
    engine.n_failing = 1
    statuses = [result["status"] for result in results_of(post(quick, images))]
    assert sorted(statuses) == [200, 200, 507]


def test_images_share_the_cache_with_requests_of_one_image(
    engine: HeldEngine, quick: Connection, photo: bytes
) -> None:
    alone = quick.request("POST", "/explain", json={"image": as_base64([photo])[0]})
    response = post(quick, [photo, photo + b"1", b"no image", photo])
    assert len(engine.jobs) == 2
    assert quick.app_state.cache.hits == 2
    first, _, _, last = response.json()["results"]
    assert first == last == {"status": 200, **alone.json()}
    assert response.content.startswith(b'{"results":[{"status":200,' + alone.content[1:])


def test_the_log_has_the_number_of_images(
    quick: Connection, photo: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "service.api.middleware.request_context"):
        post(quick, [photo, b"no image", photo])
    fields = vars(caplog.records[-1])["fields"]
    assert (fields["images"], fields["images_failed"], fields["status"]) == (3, 1, 200)


def test_a_client_that_disconnects_cancels_all_of_its_images(tmp_path: Path, photo: bytes) -> None:
    with gated(tmp_path, "load") as (server, gates):
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{server.url}/explain", files=[("image", photo)] * 20, timeout=1)
        gates.open("run")
        wait_for_empty_queue(server.url)
        assert metric(server.url, 'lrpserve_jobs_total{outcome="cancelled"}') == 20
