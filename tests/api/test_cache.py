"""The cache: equal requests get the response that was kept, and no other request does."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from starlette.responses import Response

from service.api.cache import _LARGEST_SHARE, _OVERHEAD_BYTES, Cache
from service.api.executor import SMALL_BYTES
from service.api.request.accept import JSON as JSON_TYPE
from service.api.request.options import ExplainOptions
from service.api.request.resolved import resolve_explain, resolve_predict
from service.errors import RelevanceError
from service.models.card import ModelCard
from service.runtime.jobs import Job, Result
from service.settings import Settings
from service.worker_state import State
from tests.api.in_process import Connection, FakeEngine, connect
from tests.api.sending import FORMS, problem_of, send

SIZE = 1 << 20
RAW = {"Content-Type": "image/jpeg"}
PNG, NPY = {"Accept": "image/png"}, {"Accept": "application/x-npy"}


class Served:
    """An application with a cache, and its engine."""

    def __init__(self, connection: Connection, engine: FakeEngine, cache: Cache) -> None:
        self.connection, self.engine, self.cache = connection, engine, cache

    def post(
        self, image: bytes, path: str = "/explain", headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        sent = {**RAW, **(headers or {})}
        return self.connection.request("POST", path, content=image, headers=sent)

    @property
    def n_jobs(self) -> int:
        return len(self.engine.jobs)


@pytest.fixture
def served() -> Iterator[Served]:
    engine = FakeEngine()
    with connect(Settings(cache_bytes=SIZE), engine) as connection:
        yield Served(connection, engine, connection.app_state.cache)


def without_own_headers(answer: httpx.Response) -> dict[str, str]:
    own = ("x-request-id", "server-timing")
    return {name: value for name, value in answer.headers.items() if name not in own}


# --- equal requests


@pytest.mark.parametrize("headers", [{}, PNG, NPY], ids=str)
@pytest.mark.parametrize("path", ["/predict", "/explain", "/explain?output=overlay"])
def test_an_equal_request_is_answered_without_the_device(
    served: Served, photo: bytes, path: str, headers: dict[str, str]
) -> None:
    if path == "/predict":
        headers = {}
    first = served.post(photo, path, headers)
    again = served.post(photo, path, headers)

    assert first.status_code == again.status_code == 200
    assert again.content == first.content
    assert without_own_headers(again) == without_own_headers(first)
    assert served.n_jobs == 1
    assert (served.cache.hits, served.cache.misses) == (1, 1)


def test_a_cached_response_has_its_own_id_and_timing(served: Served, photo: bytes) -> None:
    first = served.post(photo, headers={"X-Request-ID": "the-first"})
    again = served.post(photo, headers={"X-Request-ID": "the-second"})

    assert first.headers["x-request-id"] == "the-first"
    assert again.headers["x-request-id"] == "the-second"
    assert stages(first) == ["cache", "decode", "queue", "compute", "render", "total"]
    assert stages(again) == ["cache", "total"]


def stages(answer: httpx.Response) -> list[str]:
    return [stage.split(";")[0] for stage in answer.headers["server-timing"].split(", ")]


@pytest.mark.parametrize("options", [{}, {"target": "cat", "size": 64, "epsilon": 0.5}], ids=str)
def test_all_forms_of_a_request_share_a_response(
    served: Served, photo: bytes, options: dict[str, Any]
) -> None:
    contents = {
        send(Sender(served), photo, options, form=form).content  # type: ignore[arg-type]
        for form in FORMS
    }

    assert len(contents) == 1
    assert served.n_jobs == 1


class Sender:
    """As much of a client as `send` needs."""

    def __init__(self, served: Served) -> None:
        self.served = served

    def post(self, path: str, **content: Any) -> httpx.Response:
        return self.served.connection.request("POST", path, **content)


# --- keys


def test_route_format_image_and_card_make_another_key(card: ModelCard) -> None:
    changed = [
        card,
        card.model_copy(update={"sha256": "0" * 64}),
        card.model_copy(update={"labels": tuple(reversed(card.labels))}),
        card.model_copy(update={"mean": (0.5, 0.5, 0.5)}),
    ]
    options = ExplainOptions()
    keys = {
        Cache(SIZE).key(image, resolve(options, one, (), media_type))
        for one in changed
        for image in (b"", b"an image", b"an imagf")
        for resolve in (resolve_predict, resolve_explain)
        for media_type in ("image/png", JSON_TYPE)
    }
    assert len(keys) == 4 * 3 * 2 * 2


def test_another_version_of_the_service_makes_another_key(
    card: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def key() -> bytes:
        return Cache(SIZE).key(b"image", resolve_explain(ExplainOptions(), card))

    before = key()
    assert key() == before  # a worker process has the same one
    monkeypatch.setattr("service.api.cache.__version__", "0.0.0")
    assert key() != before


@pytest.mark.parametrize(
    "change",
    [
        {"size": "64"},
        {"target": "cat"},
        {"top_k": "2"},
        {"cmap": "seismic"},
        {"enlarge": "smooth"},
        {"color_bar": "true"},
    ],
    ids=str,
)
def test_another_option_gets_another_response(
    served: Served, photo: bytes, change: dict[str, str]
) -> None:
    ((name, value),) = change.items()
    before = served.post(photo)
    after = served.post(photo, f"/explain?{name}={value}")

    assert after.content != before.content
    assert served.n_jobs == 2


# --- entries


@pytest.mark.parametrize("state", [State.STARTING, State.DRAINING, State.BROKEN])
def test_nothing_is_answered_from_the_cache_where_the_state_is_not_serving(
    served: Served, photo: bytes, state: State
) -> None:
    assert served.post(photo).status_code == 200
    with served.connection.state(state):
        problem_of(served.post(photo), 503)
    assert served.cache.hits == 0


def test_it_is_off_by_default(photo: bytes) -> None:
    engine = FakeEngine()
    with connect(Settings(), engine) as connection:
        served = Served(connection, engine, connection.app_state.cache)
        for _ in range(2):
            answer = served.post(photo)
            assert answer.status_code == 200
            assert "cache" not in stages(answer)
    assert served.n_jobs == 2


class FailingEngine(FakeEngine):
    def answer(self, job: Job) -> Result:
        super().answer(job)
        raise RelevanceError("it is not finite")


def test_errors_are_never_kept(photo: bytes) -> None:
    engine = FailingEngine()
    with connect(Settings(cache_bytes=SIZE), engine) as connection:
        served = Served(connection, engine, connection.app_state.cache)
        for n_jobs in (1, 2):
            answer = served.post(photo)
            problem_of(answer, 422)
            assert served.n_jobs == n_jobs
        problem_of(served.post(b"this is no image"), 400)
        assert served.cache.n_bytes == 0


def test_a_response_that_is_too_large_is_sent_but_not_kept(photo: bytes) -> None:
    engine = FakeEngine()
    with connect(Settings(cache_bytes=_LARGEST_SHARE * 2000), engine) as connection:
        served = Served(connection, engine, connection.app_state.cache)
        answers = [served.post(photo, "/explain?size=2048") for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 200]
        assert (served.n_jobs, served.cache.n_bytes) == (2, 0)


def test_a_large_image_which_is_hashed_on_a_thread_is_found_again(served: Served) -> None:
    buffer = io.BytesIO()
    Image.effect_noise((600, 600), 100).save(buffer, "PNG")
    assert len(buffer.getvalue()) > SMALL_BYTES

    answers = [served.post(buffer.getvalue()) for _ in range(2)]

    assert answers[0].content == answers[1].content
    assert served.n_jobs == 1


def test_concurrent_requests_get_the_same_response(served: Served, photo: bytes) -> None:
    answers = served.connection.post_at_once(20, "/explain", content=photo, headers=RAW)
    answers += served.connection.post_at_once(20, "/explain", content=photo, headers=RAW)

    assert {(answer.status_code, answer.content) for answer in answers} == {
        (200, answers[0].content)
    }
    assert len({answer.headers["x-request-id"] for answer in answers}) == 40
    assert served.cache.hits >= 20


@given(
    sizes=st.lists(st.integers(0, 4000), min_size=1, max_size=20),
    steps=st.lists(st.integers(0, 19), max_size=80),
)
def test_it_stays_within_its_bytes_and_returns_what_was_put(
    sizes: list[int], steps: list[int]
) -> None:
    cache, largest = Cache(_LARGEST_SHARE * 3000), 3000

    for step in steps:
        number = step % len(sizes)
        key, body = bytes([number]) * 32, bytes([number]) * sizes[number]
        before = cache.get(key)
        assert before is None or before.body == body
        response = Response(body, headers={"X-Explanation": "e" * (len(body) // 8)})
        cache.put(key, response)
        after = cache.get(key)
        headers = sum(len(name) + len(value) for name, value in response.raw_headers)
        if len(body) + headers + _OVERHEAD_BYTES > largest:
            assert after is None
        else:  # the last one is always there
            assert after is not None
            assert (after.body, after.raw_headers) == (body, response.raw_headers)
        entries = list(cache._entries.values())
        assert cache.n_bytes == sum(entry.n_bytes for entry in entries) <= _LARGEST_SHARE * largest


def test_the_responses_that_were_used_last_are_kept() -> None:
    cache = Cache(10 * (_OVERHEAD_BYTES + 200))
    keys = [bytes([number]) * 32 for number in range(20)]
    for key in keys:
        cache.put(key, Response(b"body"))
        cache.get(keys[0])

    found = [key for key in keys if cache.get(key)]
    assert keys[0] in found
    assert 5 < len(found) < 20
    assert found[1:] == keys[-len(found) + 1 :]
