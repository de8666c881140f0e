"""CORS: pages of listed origins may read every response, those of others none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import httpx
import pytest

from service.errors import QueueFull
from service.runtime.queue import DeviceQueue
from service.settings import Settings, load_settings
from tests.api.in_process import Connection, FakeEngine, connect
from tests.api.sending import JSON_TYPE, problem_of

ALLOWED, FOREIGN = "https://page.example", "https://other.example"
RAW = {"Content-Type": "image/jpeg"}
KEY = {"X-API-Key": "a-key-for-the-pages"}


@pytest.fixture(scope="module")
def service() -> Iterator[Connection]:
    with connect(Settings(cors_origins=(ALLOWED, "http://localhost:3000")), FakeEngine()) as made:
        yield made


def may_read(answer: httpx.Response) -> bool:
    """Whether a browser gives the response to the page."""
    return "access-control-allow-origin" in answer.headers


def test_by_default_no_other_origin_may_read_responses(client: httpx.Client, photo: bytes) -> None:
    headers = {"Origin": ALLOWED, **RAW}
    preflight = {"Origin": ALLOWED, "Access-Control-Request-Method": "POST"}

    assert not may_read(client.post("/predict", content=photo, headers=headers))
    assert not may_read(client.options("/predict", headers=preflight))


@pytest.mark.parametrize("origin", [ALLOWED, "http://localhost:3000"])
def test_a_listed_origin_may_read_the_response_and_its_headers(
    service: Connection, photo: bytes, origin: str
) -> None:
    headers = {"Origin": origin, "Accept": "image/png", **RAW}

    answer = service.request("POST", "/explain", content=photo, headers=headers)

    assert answer.headers["access-control-allow-origin"] == origin
    exposed = answer.headers["access-control-expose-headers"]
    for name in ("X-Request-ID", "X-Explanation", "Server-Timing", "Retry-After"):
        assert name in exposed
    assert {"Accept", "Origin"} <= {name.strip() for name in answer.headers["vary"].split(",")}
    assert "access-control-allow-credentials" not in answer.headers


def test_a_listed_origin_may_read_problems(service: Connection) -> None:
    headers = {"Origin": ALLOWED, **JSON_TYPE}

    answer = service.request("POST", "/explain", content="{}", headers=headers)

    assert answer.status_code == 400
    assert answer.headers["access-control-allow-origin"] == ALLOWED


def test_a_preflight_of_a_listed_origin_is_allowed(service: Connection) -> None:
    headers = {
        "Origin": ALLOWED,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type, accept, x-request-id",
    }

    answer = service.request("OPTIONS", "/explain", headers=headers)

    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ALLOWED
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["x-request-id"]


def test_other_origins_may_read_nothing(service: Connection, photo: bytes) -> None:
    headers = {"Origin": FOREIGN, **RAW}
    preflight = {"Origin": FOREIGN, "Access-Control-Request-Method": "POST"}

    answer = service.request("POST", "/predict", content=photo, headers=headers)
    refused = service.request("OPTIONS", "/predict", headers=preflight)

    assert not may_read(answer)
    assert not may_read(refused)
    assert "Origin" in answer.headers["vary"]
    assert (answer.status_code, refused.status_code) == (200, 400)


# --- refusals and failures of every layer


def guarded(**settings: str) -> AbstractContextManager[Connection]:
    given = load_settings(cors_origins=ALLOWED, api_keys=KEY["X-API-Key"], **settings)
    return connect(given, FakeEngine())


def fail(*arguments: Any, **named: Any) -> None:
    raise RuntimeError("an unexpected failure")


def refuse(*arguments: Any) -> None:
    raise QueueFull("it is full")


def assert_read_by_listed_pages_only(
    service: Connection, status: int, headers: Mapping[str, str], content: bytes = b""
) -> None:
    """Send a request from a page of each origin, and expect a problem."""

    def ask(origin: str) -> httpx.Response:
        sent = {"Origin": origin, **RAW, **headers}
        answer = service.request("POST", "/predict", content=content, headers=sent)
        problem_of(answer, status)
        assert "Origin" in answer.headers["vary"]
        return answer

    listed = ask(ALLOWED)
    assert listed.headers["access-control-allow-origin"] == ALLOWED
    assert "Retry-After" in listed.headers["access-control-expose-headers"]
    assert not may_read(ask(FOREIGN))


def test_a_401_is_readable() -> None:
    with guarded() as service:
        assert_read_by_listed_pages_only(service, 401, {})


def test_a_413_is_readable() -> None:
    with guarded(max_body_bytes="10") as service:
        assert_read_by_listed_pages_only(service, 413, KEY, bytes(11))


def test_a_429_of_the_rate_limit_is_readable() -> None:
    with guarded(rate_limit="1/day") as service:
        service.request("POST", "/predict", headers=KEY)
        assert_read_by_listed_pages_only(service, 429, KEY)


def test_a_429_of_a_full_queue_is_readable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DeviceQueue, "check_capacity", refuse)
    with guarded() as service:
        assert_read_by_listed_pages_only(service, 429, KEY)


@pytest.mark.parametrize(
    "place",
    [
        "service.api.routes.pipeline.choose_format",
        "service.api.middleware.auth.KeyRing.authenticate",
    ],
    ids=["in a route", "in a middleware"],
)
def test_a_500_is_readable(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.setattr(place, fail)
    with guarded() as service:
        assert_read_by_listed_pages_only(service, 500, KEY)


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/predict"), ("POST", "/explain"), ("GET", "/models")]
)
def test_a_preflight_needs_no_key(method: str, path: str) -> None:
    asked = {
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization, content-type, x-api-key",
    }
    with guarded() as service:
        answer = service.request("OPTIONS", path, headers={"Origin": ALLOWED, **asked})
        refused = service.request("OPTIONS", path, headers={"Origin": FOREIGN, **asked})

    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ALLOWED
    assert "X-API-Key" in answer.headers["access-control-allow-headers"]
    assert refused.status_code == 400
    assert not may_read(refused)
