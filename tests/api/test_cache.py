"""The cache: what was asked before is answered the same, at once, and nothing else ever is."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from starlette.responses import Response

from service.api.cache import _LARGEST_SHARE, _OVERHEAD_BYTES, Asked, Cache
from service.api.request.options import ExplainOptions, PredictOptions, parse_options
from service.api.request.resolved import resolve
from service.errors import RelevanceError
from service.methods import all_parameters
from service.models.card import ModelCard
from service.runtime.jobs import Job, Result
from service.settings import DEFAULT_MODEL, Settings
from service.worker_state import State
from tests.api.in_process import Connection, FakeEngine, connect
from tests.api.sending import FORMS, beside, problem_of, send

SIZE = 1 << 20
RAW = {"Content-Type": "image/jpeg"}
PNG, NPY = {"Accept": "image/png"}, {"Accept": "application/x-npy"}
# for each option a value that is not its default
OTHER: dict[str, Any] = {
    "model": "other",
    "top_k": 3,
    "fit": "pad",
    "target": "cat",
    "contrast": "ship",
    "targets": ["cat"],
    "start": "logit",
    "composite": "epsilon_plus",
    "attributor": "smooth_grad",
    "layer": "features.0",
    "output": "heatmap,relevance",
    "relevance_format": "list",
    "channels": "all",
    "cmap": "seismic",
    "size": 64,
    "enlarge": "smooth",
    "overlay_style": "contours",
    "color_bar": True,
    "bound": 0.5,
    "baseline": "black",
    "zero_bias": True,
    "window": 4,
    "stride": 2,
}


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


# --- the same resolved


@pytest.mark.parametrize("headers", [{}, PNG, NPY], ids=str)
@pytest.mark.parametrize("path", ["/predict", "/explain", "/explain?output=overlay"])
def test_a_question_that_was_asked_before_is_answered_without_the_device(
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


def test_an_answer_from_the_cache_has_its_own_id_and_timing(served: Served, photo: bytes) -> None:
    first = served.post(photo, headers={"X-Request-ID": "the-first"})
    again = served.post(photo, headers={"X-Request-ID": "the-second"})

    assert first.headers["x-request-id"] == "the-first"
    assert again.headers["x-request-id"] == "the-second"
    assert stages(first) == ["cache", "decode", "queue", "compute", "render", "total"]
    assert stages(again) == ["cache", "total"]


def stages(answer: httpx.Response) -> list[str]:
    return [stage.split(";")[0] for stage in answer.headers["server-timing"].split(", ")]


@pytest.mark.parametrize("options", [{}, {"target": "cat", "size": 64, "epsilon": 0.5}], ids=str)
def test_all_forms_of_a_question_share_one_answer(
    served: Served, photo: bytes, options: dict[str, Any]
) -> None:
    tags = {
        send(Sender(served), photo, options, form=form).headers["etag"]  # type: ignore[arg-type]
        for form in FORMS
    }

    assert len(tags) == 1
    assert served.n_jobs == 1


class Sender:
    """As much of a client as `send` needs."""

    def __init__(self, served: Served) -> None:
        self.served = served

    def post(self, path: str, **content: Any) -> httpx.Response:
        return self.served.connection.request("POST", path, **content)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"target": "cat"}, {"target": "3"}),
        ({"target": "label:cat"}, {"target": "3"}),
        ({}, {"composite": "epsilon_plus_flat", "epsilon": 1e-6, "attributor": "gradient"}),
        ({}, {"model": DEFAULT_MODEL, "size": 256, "output": "heatmap"}),
        ({"attributor": "occlusion"}, {"attributor": "occlusion", "window": 8, "stride": 4}),
    ],
    ids=str,
)
def test_a_question_in_other_words_is_the_same(
    card: ModelCard, one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert asked(card, one).text() == asked(card, other).text()


# --- other questions


def asked(card: ModelCard, given: Mapping[str, Any], media_type: str = "image/png") -> Asked:
    other = card.model_copy(update={"name": "other"})
    cards = {card.name: card, "other": other}
    options = parse_options(ExplainOptions, given, cards)
    chosen = cards[options.model or card.name]
    resolved = resolve(options, chosen)
    return Asked("explain", media_type, chosen.name, options, resolved.resolved)


def value_of(option: str) -> Any:
    """A value that is not the default; of a parameter, one between its bounds."""
    if option in OTHER:
        return OTHER[option]
    parameter = all_parameters()[option]
    return 2 if parameter.kind == "integer" else 0.5


@pytest.mark.parametrize("option", ExplainOptions.model_fields)
def test_an_option_that_is_another_makes_another_question(card: ModelCard, option: str) -> None:
    given = beside(option)
    if option == "contrast":
        given = {"target": "cat"}

    assert asked(card, given).text() != asked(card, {**given, option: value_of(option)}).text()


@pytest.mark.parametrize("option", PredictOptions.model_fields)
def test_so_it_is_for_predictions(card: ModelCard, option: str) -> None:
    texts = {
        Asked("predict", "application/json", str(given.get("model")), options).text()
        for given in ({}, {option: OTHER[option]})
        for options in [PredictOptions.model_validate(given)]
    }
    assert len(texts) == 2


def test_classes_their_order_and_whether_it_is_a_list_make_another_question(
    card: ModelCard,
) -> None:
    given: list[dict[str, Any]] = [
        {},
        {"target": "cat"},
        {"target": "dog"},
        {"targets": ["cat"]},
        {"targets": ["cat", "dog"]},
        {"targets": ["dog", "cat"]},
        {"target": "cat", "contrast": "dog"},
        {"target": "dog", "contrast": "cat"},
    ]
    assert len({asked(card, one).text() for one in given}) == len(given)


def test_rules_of_ones_own_make_another_question(card: ModelCard) -> None:
    rules = [
        [{"layers": "type:linear", "rule": "epsilon", "epsilon": epsilon}] for epsilon in (1, 2)
    ]
    texts = {asked(card, {"composite": json.dumps(one)}).text() for one in rules}
    assert len(texts) == 2


def test_route_format_image_and_model_make_another_key(card: ModelCard) -> None:
    changed = [
        card,
        card.model_copy(update={"sha256": "0" * 64}),
        card.model_copy(update={"labels": tuple(reversed(card.labels))}),
        card.model_copy(update={"mean": (0.5, 0.5, 0.5)}),
    ]
    options = ExplainOptions()
    keys = {
        Cache(SIZE, {card.name: one}).key(image, Asked(route, media_type, card.name, options))
        for one in changed
        for image in (b"", b"an image", b"an imagf")
        for route in ("predict", "explain")
        for media_type in ("image/png", "application/json")
    }
    assert len(keys) == 4 * 3 * 2 * 2


def test_another_version_of_the_service_makes_another_key(
    card: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def key() -> bytes:
        return Cache(SIZE, {card.name: card}).key(b"image", asked(card, {}))

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
def test_another_option_gets_an_answer_of_its_own(
    served: Served, photo: bytes, change: dict[str, str]
) -> None:
    ((name, value),) = change.items()
    before = served.post(photo)
    after = served.post(photo, f"/explain?{name}={value}")

    assert after.content != before.content
    assert after.headers["etag"] != before.headers["etag"]
    assert served.n_jobs == 2


# --- If-None-Match


@pytest.mark.parametrize("headers", [{}, PNG, NPY], ids=str)
@pytest.mark.parametrize("sent", ["{}", '"other", {}', 'W/"other",{} , "x,y"', "strong"])
def test_who_has_the_answer_gets_a_304_without_a_body(
    served: Served, photo: bytes, sent: str, headers: dict[str, str]
) -> None:
    tag = served.post(photo, headers=headers).headers["etag"]
    assert tag.startswith('W/"')
    value = tag.removeprefix("W/") if sent == "strong" else sent.format(tag)

    answer = served.post(photo, headers={**headers, "If-None-Match": value})

    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["etag"] == tag
    assert answer.headers["vary"] == "Accept"
    assert answer.headers["x-request-id"]
    assert stages(answer) == ["cache", "total"]
    assert not {"content-length", "content-type", "x-explanation"} & set(answer.headers)
    assert served.n_jobs == 1


def test_a_304_needs_nothing_in_the_cache(photo: bytes) -> None:
    """Another worker process, or the one before the last start, has given the tag."""
    with connect(Settings(cache_bytes=SIZE), FakeEngine()) as first:
        tag = Served(first, FakeEngine(), first.app_state.cache).post(photo).headers["etag"]
    engine = FakeEngine()
    with connect(Settings(cache_bytes=SIZE), engine) as second:
        served = Served(second, engine, second.app_state.cache)
        assert served.post(photo, headers={"If-None-Match": tag}).status_code == 304
        assert served.post(photo, "/explain?size=64", {"If-None-Match": tag}).status_code == 200
    assert served.n_jobs == 1


def test_other_tags_get_the_answer(served: Served, photo: bytes) -> None:
    tag = served.post(photo).headers["etag"]
    unquoted, shortened = tag.split('"')[1], tag[:-2] + '"'

    for value in ('"other"', 'W/"other", "another"', "", '"', unquoted, shortened, tag.upper()):
        answer = served.post(photo, headers={"If-None-Match": value})
        assert (answer.status_code, answer.headers["etag"]) == (200, tag)


def test_any_tag_will_do_only_where_there_is_an_answer(served: Served, photo: bytes) -> None:
    headers = {"If-None-Match": "*"}
    assert served.post(photo, headers=headers).status_code == 200
    assert served.post(photo, headers=headers).status_code == 304
    problem_of(served.post(b"this is no image", headers=headers), 400)


def test_a_304_is_given_only_to_a_request_that_is_right(served: Served, photo: bytes) -> None:
    tag = served.post(photo).headers["etag"]
    for value in (tag, "*"):
        headers = {"If-None-Match": value}
        problem_of(served.post(photo, "/explain?size=1", headers), 422)
        problem_of(served.post(photo, "/explain?layer=nothing", headers), 422)
        problem_of(served.post(b"", "/explain", headers), 400)
        problem_of(served.post(photo, "/explain", {**headers, "Accept": "text/html"}), 406)


@pytest.mark.parametrize("state", [State.STARTING, State.DRAINING, State.BROKEN])
def test_who_does_not_serve_answers_nothing_from_the_cache(
    served: Served, photo: bytes, state: State
) -> None:
    tag = served.post(photo).headers["etag"]
    with served.connection.state(state):
        problem_of(served.post(photo), 503)
        problem_of(served.post(photo, headers={"If-None-Match": tag}), 503)


# --- what is kept


def test_it_is_off_by_default(photo: bytes) -> None:
    engine = FakeEngine()
    with connect(Settings(), engine) as connection:
        served = Served(connection, engine, connection.app_state.cache)
        for _ in range(2):
            answer = served.post(photo, headers={"If-None-Match": "*"})
            assert answer.status_code == 200
            assert "etag" not in answer.headers
            assert "cache" not in stages(answer)
        assert "If-None-Match" not in connection.request("GET", "/openapi.json").text
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
            assert "etag" not in answer.headers
            assert served.n_jobs == n_jobs
        problem_of(served.post(b"this is no image"), 400)
        assert served.cache.n_bytes == 0


def test_an_answer_that_is_too_large_is_given_but_not_kept(photo: bytes) -> None:
    engine = FakeEngine()
    with connect(Settings(cache_bytes=_LARGEST_SHARE * 2000), engine) as connection:
        served = Served(connection, engine, connection.app_state.cache)
        answers = [served.post(photo, "/explain?size=2048") for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 200]
        assert (served.n_jobs, served.cache.n_bytes) == (2, 0)
        headers = {"If-None-Match": answers[0].headers["etag"]}
        assert served.post(photo, "/explain?size=2048", headers).status_code == 304


def test_an_image_that_is_hashed_on_a_thread_is_known_again(served: Served) -> None:
    buffer = io.BytesIO()
    Image.effect_noise((600, 600), 100).save(buffer, "PNG")
    assert len(buffer.getvalue()) > 1 << 17

    answers = [served.post(buffer.getvalue()) for _ in range(2)]

    assert answers[0].content == answers[1].content
    assert served.n_jobs == 1


def test_many_at_once_get_the_same_answer(served: Served, photo: bytes) -> None:
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
def test_it_never_takes_more_than_its_bytes_and_gives_back_what_it_got(
    sizes: list[int], steps: list[int]
) -> None:
    cache, largest = Cache(_LARGEST_SHARE * 3000), 3000

    for step in steps:
        number = step % len(sizes)
        key, body = bytes([number]) * 32, bytes([number]) * sizes[number]
        before = cache.find(key, "")
        assert before is None or before.body == body
        given = cache.keep(key, Response(body, headers={"X-Explanation": "e" * (len(body) // 8)}))
        after = cache.find(key, "")
        heads = sum(len(name) + len(value) for name, value in given.raw_headers)
        if len(body) + heads + _OVERHEAD_BYTES > largest:
            assert after is None
        else:  # the last one always is there
            assert after is not None
            assert (after.body, after.raw_headers) == (body, given.raw_headers)
        entries = list(cache._kept.values())
        assert cache.n_bytes == sum(entry.n_bytes for entry in entries) <= _LARGEST_SHARE * largest


def test_what_was_asked_for_last_is_kept() -> None:
    cache = Cache(10 * (_OVERHEAD_BYTES + 200))
    keys = [bytes([number]) * 32 for number in range(20)]
    for key in keys:
        cache.keep(key, Response(b"body"))
        cache.find(keys[0], "")

    found = [key for key in keys if cache.find(key, "")]
    assert keys[0] in found
    assert 5 < len(found) < 20
    assert found[1:] == keys[-len(found) + 1 :]


def test_the_document_tells_of_tags_where_there_are_any(served: Served) -> None:
    paths = served.connection.request("GET", "/openapi.json").json()["paths"]
    for path in ("/predict", "/explain"):
        operation = paths[path]["post"]
        assert "If-None-Match" in [one["name"] for one in operation["parameters"]]
        assert "ETag" in operation["responses"]["200"]["headers"]
        assert set(operation["responses"]["304"]) == {"description", "headers"}
    assert "304" not in paths["/models"]["get"]["responses"]
