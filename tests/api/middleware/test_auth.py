"""API-key authentication: valid keys are served, all else gets a 401."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import httpx
import pytest
from starlette.types import Message

from service.api.middleware import auth
from service.api.middleware.auth import APIKeyAuth, KeyRing
from service.api.response.problems import TYPE_PREFIX
from service.api_keys import hash_key, name_of
from service.errors import Unauthorized
from service.settings import load_settings
from tests.api.in_process import Connection, FakeEngine, connect
from tests.api.sending import problem_of

PAGE = "https://page.example"
FIRST, SECOND = "the-first-key-of-all", "the-second-key-of-all"
RAW = {"Content-Type": "image/jpeg"}
OPEN = (
    *("/", "/healthz", "/healthz/", "/readyz", "/docs", "/openapi.json"),
    *("/swagger/swagger-ui.css", "/web/js/main.js", "/v2/health/live", "/v2/health/ready"),
    "/ping",
)
CLOSED = ("/models", "/models/minivgg-cifar10", "/metrics", "/nothing", "/models/", "/swagger")


@pytest.fixture(scope="module")
def guarded() -> Iterator[Connection]:
    # one in plain text and one as its hash
    settings = load_settings(api_keys=f"{FIRST},{hash_key(SECOND)}", cors_origins=PAGE)
    with connect(settings, FakeEngine()) as connection:
        yield connection


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def assert_401(answer: httpx.Response, *words: str) -> None:
    problem = problem_of(answer, 401, *words)
    assert problem.type == TYPE_PREFIX + "unauthorized"
    assert answer.headers["www-authenticate"] == "Bearer"


# --- valid and invalid keys


@pytest.mark.parametrize("path", ["/predict", "/explain"])
@pytest.mark.parametrize("key", [FIRST, SECOND])
@pytest.mark.parametrize(
    "form", ["Authorization: Bearer {}", "authorization: bearer   {}", "X-API-Key: {}"]
)
def test_each_key_is_valid_in_both_headers(
    guarded: Connection, photo: bytes, path: str, key: str, form: str
) -> None:
    name, value = form.format(key).split(": ")

    answer = guarded.request("POST", path, content=photo, headers={**RAW, name: value})

    assert answer.status_code == 200


def test_one_valid_key_is_enough(guarded: Connection) -> None:
    # a proxy may have put its own credentials into `Authorization`
    for other in ("Basic dXNlcjpwYXNzd29yZA==", "Bearer a-token-of-the-proxy"):
        headers = {"Authorization": other, "X-API-Key": SECOND}
        assert guarded.request("GET", "/models", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        bearer("not-a-key-that-is-known"),
        bearer(FIRST[:-1]),
        bearer(FIRST + "x"),
        bearer(FIRST.upper()),
        bearer(""),
        bearer(hash_key(FIRST)),  # the hash in the settings is no key
        {"X-API-Key": hash_key(SECOND)},
        {"X-API-Key": f"{FIRST},{SECOND}"},
        {"X-API-Key": f"Bearer {FIRST}"},
    ],
    ids=str,
)
def test_an_invalid_key_gets_a_401(
    guarded: Connection, photo: bytes, headers: dict[str, str]
) -> None:
    answer = guarded.request("POST", "/explain", content=photo, headers={**RAW, **headers})

    assert_401(answer, "not valid")


@pytest.mark.parametrize("headers", [{}, {"Authorization": FIRST}, {"Authorization": "Basic eA=="}])
def test_without_a_key_the_401_says_how_to_send_one(
    guarded: Connection, photo: bytes, headers: dict[str, str]
) -> None:
    answer = guarded.request("POST", "/predict", content=photo, headers={**RAW, **headers})

    assert_401(answer, "an API key is needed", "Authorization: Bearer KEY", "X-API-Key: KEY")


@pytest.mark.parametrize("path", OPEN)
def test_health_checks_page_and_documentation_need_no_key(guarded: Connection, path: str) -> None:
    assert guarded.request("GET", path).status_code in (200, 307)


@pytest.mark.parametrize("path", CLOSED)
def test_every_other_path_needs_a_key(guarded: Connection, path: str) -> None:
    assert_401(guarded.request("GET", path))
    assert guarded.request("GET", path, headers=bearer(FIRST)).status_code != 401


def test_without_keys_in_the_settings_no_request_needs_a_key(client: httpx.Client) -> None:
    assert client.get("/models").status_code == 200
    assert client.get("/models", headers=bearer("whatever-it-is")).status_code == 200


# --- refusals


def test_a_401_is_sent_before_the_body_is_read() -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("the body was read")

    async def send(message: Message) -> None:
        sent.append(message)

    async def app(*arguments: Any) -> None:
        raise AssertionError("the request was served")

    scope = {"type": "http", "path": "/explain", "headers": [], "state": {"request_id": "an-id"}}
    asyncio.run(APIKeyAuth(app, [hash_key(FIRST)])(scope, receive, send))

    assert sent[0]["status"] == 401


def test_all_keys_are_compared_whichever_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(other)
        return one == other

    monkeypatch.setattr(auth, "compare_digest", compare)
    known = [hashlib.sha256(key.encode()).digest() for key in (FIRST, SECOND)]

    for key, name in ((FIRST, known[0]), (SECOND, known[1]), ("another", None)):
        compared.clear()
        key_ring = KeyRing([hash_key(FIRST), hash_key(SECOND)])
        with nullcontext() if name else pytest.raises(Unauthorized):
            found = key_ring.authenticate([(b"x-api-key", key.encode())])
            assert name
            assert found == name.hex()[:8]
        assert compared == known


def test_logs_have_the_name_of_a_key_and_never_the_key(
    photo: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    named: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        named.append(scope["state"]["key"])

    scope = {"type": "http", "path": "/predict", "headers": [(b"x-api-key", SECOND.encode())]}
    asyncio.run(APIKeyAuth(app, [hash_key(FIRST), hash_key(SECOND)])(scope, None, None))  # type: ignore[arg-type]  # not used

    assert named == [name_of(hash_key(SECOND))] == [hash_key(SECOND)[7:15]]
    caplog.set_level(logging.DEBUG)
    with connect(load_settings(api_keys=FIRST), FakeEngine()) as connection:
        for key in (FIRST, "not-a-key-that-is-known"):
            connection.request("POST", "/predict", content=photo, headers={**RAW, **bearer(key)})
    assert FIRST not in caplog.text
    assert "not-a-key" not in caplog.text


# --- pages


def test_a_preflight_needs_no_key_and_may_announce_one(guarded: Connection) -> None:
    headers = {
        "Origin": PAGE,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "Authorization, X-API-Key",
    }

    answer = guarded.request("OPTIONS", "/explain", headers=headers)

    assert answer.status_code == 200
    allowed = answer.headers["access-control-allow-headers"].lower()
    for name in ("authorization", "x-api-key"):
        assert name in allowed


def test_a_page_of_another_origin_may_read_the_401(guarded: Connection) -> None:
    answer = guarded.request("POST", "/explain", headers={"Origin": PAGE})

    assert_401(answer)
    assert answer.headers["access-control-allow-origin"] == PAGE
    exposed = answer.headers["access-control-expose-headers"]
    for name in ("WWW-Authenticate", "X-Request-ID"):
        assert name in exposed


# --- the document


def test_the_openapi_document_has_the_security_schemes(guarded: Connection) -> None:
    document = guarded.request("GET", "/openapi.json").json()

    schemes = document["components"]["securitySchemes"]
    assert schemes == {
        "bearer": {"type": "http", "scheme": "bearer"},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    for path, item in document["paths"].items():
        for method, operation in item.items():
            needs_key = path not in OPEN
            assert ("security" in operation) is needs_key, path
            assert ("401" in operation["responses"]) is needs_key, path
            if needs_key:
                assert operation["security"] == [{"bearer": []}, {"header": []}]
                refused = guarded.request(method.upper(), path.replace("{", "").replace("}", ""))
                assert refused.status_code == 401
                media_type = refused.headers["Content-Type"]
                assert list(operation["responses"]["401"]["content"]) == [media_type]


def test_without_keys_the_openapi_document_has_no_security_schemes(client: httpx.Client) -> None:
    document = client.get("/openapi.json").text

    assert "securitySchemes" not in document
    assert '"401"' not in document
