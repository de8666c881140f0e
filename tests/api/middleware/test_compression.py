"""Texts are compressed, pictures and what is computed are not."""

from __future__ import annotations

import httpx
import pytest

from service.api.middleware.compression import accepts_gzip
from tests.helpers.servers import RunningServer

GZIP = {"Accept-Encoding": "gzip"}
PLAIN = {"Accept-Encoding": "identity"}


def sent(url: str, headers: dict[str, str]) -> tuple[httpx.Response, int]:
    """The answer, and how many bytes of it came."""
    with httpx.stream("GET", url, headers=headers) as answer:
        answer.read()
        return answer, answer.num_bytes_downloaded


@pytest.mark.parametrize("path", ["/", "/models", "/openapi.json", "/web/js/main.js"])
def test_texts_are_compressed_for_those_that_take_it(server: RunningServer, path: str) -> None:
    small, n_small = sent(server.url + path, GZIP)
    large, n_large = sent(server.url + path, PLAIN)
    assert small.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in large.headers
    assert "Accept-Encoding" in small.headers["vary"]
    assert small.content == large.content
    assert n_small < 0.6 * n_large


@pytest.mark.parametrize("path", ["/healthz", "/web/samples/cat.jpg"])
def test_what_is_short_or_a_picture_is_sent_as_it_is(server: RunningServer, path: str) -> None:
    assert "content-encoding" not in sent(server.url + path, GZIP)[0].headers


def test_what_is_computed_is_sent_as_it_is(server: RunningServer) -> None:
    image = httpx.get(f"{server.url}/web/samples/cat.jpg").content
    headers = GZIP | {"Content-Type": "image/jpeg"}
    answer = httpx.post(f"{server.url}/explain", content=image, headers=headers)
    assert answer.status_code == 200
    assert "content-encoding" not in answer.headers


def test_what_has_not_changed_is_not_sent_again(server: RunningServer) -> None:
    url = f"{server.url}/web/js/main.js"
    first, _ = sent(url, GZIP)
    again, _ = sent(url, GZIP | {"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert "Accept-Encoding" in again.headers["vary"]


def test_caches_are_told_that_there_are_two_of_each(server: RunningServer) -> None:
    url = f"{server.url}/web/js/main.js"
    small, large = sent(url, GZIP)[0].headers, sent(url, PLAIN)[0].headers
    assert small["vary"] == large["vary"] == httpx.head(url).headers["vary"] == "Accept-Encoding"
    assert small["etag"] == f"W/{large['etag']}"  # weak: the bytes differ


@pytest.mark.parametrize(
    ("accepted", "is_taken"),
    [
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("br;q=1.0, gzip;q=0.01", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000, identity", False),
        ("xgzip", False),
        ("br", False),
        ("", False),
    ],
)
def test_what_a_client_does_not_take_it_does_not_get(accepted: str, is_taken: bool) -> None:
    assert accepts_gzip(accepted) is is_taken


def test_who_refuses_it_gets_none(server: RunningServer) -> None:
    answer, _ = sent(f"{server.url}/models", {"Accept-Encoding": "gzip;q=0"})
    assert "content-encoding" not in answer.headers
