"""gzip: for GET responses that are text, where the client accepts it."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path

import httpx
import pytest

from service.api.middleware.compression import refuses_gzip
from service.api.routes import static_files
from tests.helpers.servers import RunningServer

GZIP = {"Accept-Encoding": "gzip", "Accept": "text/html, */*"}
PLAIN = {"Accept-Encoding": "identity", "Accept": "text/html, */*"}


def get(url: str, headers: dict[str, str]) -> tuple[httpx.Response, int]:
    """The response, and the number of bytes of its body on the wire."""
    with httpx.stream("GET", url, headers=headers) as response:
        response.read()
        return response, response.num_bytes_downloaded


@pytest.mark.parametrize("path", ["/", "/models", "/openapi.json", "/web/js/main.js"])
def test_text_is_compressed_where_the_client_accepts_it(server: RunningServer, path: str) -> None:
    compressed, n_compressed = get(server.url + path, GZIP)
    plain, n_plain = get(server.url + path, PLAIN)
    assert compressed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    for response in (compressed, plain):
        assert "Accept-Encoding" in response.headers["vary"].split(", ")
    assert compressed.content == plain.content
    assert n_compressed < 0.6 * n_plain


@pytest.mark.parametrize("path", ["/healthz", "/web/samples/cat.jpg"])
def test_short_responses_and_images_are_not_compressed(server: RunningServer, path: str) -> None:
    assert "content-encoding" not in get(server.url + path, GZIP)[0].headers


@pytest.mark.parametrize("media_type", ["application/json", "image/png", "application/x-npy"])
def test_explanations_are_not_compressed(server: RunningServer, media_type: str) -> None:
    image = httpx.get(f"{server.url}/web/samples/cat.jpg").content
    headers = GZIP | {"Content-Type": "image/jpeg", "Accept": media_type}
    response = httpx.post(f"{server.url}/explain", content=image, headers=headers)
    assert response.status_code == 200
    assert "content-encoding" not in response.headers


@pytest.mark.parametrize("headers", [GZIP, PLAIN])
def test_an_unchanged_file_is_a_304(server: RunningServer, headers: dict[str, str]) -> None:
    url = f"{server.url}/web/js/main.js"
    first, _ = get(url, headers)
    again, _ = get(url, headers | {"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_the_etag_of_a_compressed_file_is_weak(server: RunningServer) -> None:
    url = f"{server.url}/web/js/main.js"
    compressed, plain = get(url, GZIP)[0].headers, get(url, PLAIN)[0].headers
    assert compressed["etag"] == f"W/{plain['etag']}"


@pytest.mark.parametrize(
    ("accept_encoding", "is_refused"),
    [
        ("gzip", False),
        ("deflate, GZIP;q=0.5", False),
        ("br;q=0, gzip;q=0.01", False),
        ("gzip;q=0", True),
        ("br, gzip; q=0.000, identity", True),
        ("br;q=0", False),
        ("", False),
    ],
)
def test_a_weight_of_0_refuses_gzip(accept_encoding: str, is_refused: bool) -> None:
    assert refuses_gzip(accept_encoding) is is_refused


@pytest.mark.parametrize("accept_encoding", ["gzip;q=0", "br", ""])
def test_a_client_that_does_not_accept_gzip_gets_none(
    server: RunningServer, accept_encoding: str
) -> None:
    response, _ = get(f"{server.url}/models", {"Accept-Encoding": accept_encoding})
    assert "content-encoding" not in response.headers


def test_a_file_is_compressed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compressed: list[str] = []

    def compress(path: str) -> bytes:
        compressed.append(path)
        return gzip.compress(Path(path).read_bytes())

    monkeypatch.setattr(static_files, "_gzip", compress)
    file = tmp_path / "a.js"
    file.write_text("let a = 1;\n" * 1000)
    transport = httpx.ASGITransport(static_files.CompressedFiles(directory=tmp_path))

    async def fetch() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=transport, base_url="http://a") as client:
            return await asyncio.gather(*(client.get("/a.js") for _ in range(5)))

    for answer in asyncio.run(fetch()):
        assert (answer.text, answer.headers["content-encoding"]) == (file.read_text(), "gzip")
    assert len(compressed) == 1
    file.write_text("let a = 2;\n" * 1001)
    assert {answer.text for answer in asyncio.run(fetch())} == {file.read_text()}
    assert len(compressed) == 2
