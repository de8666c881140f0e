"""Clients that offer to upgrade to another protocol are served over HTTP/1.1, with their body."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.helpers.conditions import LIMIT_S
from tests.helpers.connections import Plain, plain
from tests.helpers.servers import RunningServer
from tests.helpers.tools import find_tool

JAVA = Path(__file__).parent / "Post.java"
OFFERS = {
    "h2c": ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"),
    "websocket": ("Upgrade: websocket", "Connection: keep-alive, Upgrade"),
    "TLS": ("CONNECTION: UPGRADE", "UPGRADE: TLS/1.0, HTTP/2.0"),
    "two headers": ("Connection: keep-alive", "Connection: upgrade", "Upgrade: h2c"),
}


def one_piece(content: bytes, head: str) -> list[bytes]:
    return [f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content]


def pieces(content: bytes, head: str) -> list[bytes]:
    (whole,) = one_piece(content, head)
    return [whole[:7], whole[7:40], *(whole[at : at + 200] for at in range(40, len(whole), 200))]


def chunked(content: bytes, head: str) -> list[bytes]:
    parts = [content[at : at + 300] for at in range(0, len(content), 300)]
    chunks = [b"%x\r\n%s\r\n" % (len(part), part) for part in parts]
    return [f"{head}Transfer-Encoding: chunked\r\n\r\n".encode(), *chunks, b"0\r\n\r\n"]


FRAMINGS = {"one piece": one_piece, "pieces": pieces, "chunked": chunked}


def head_of(*lines: str) -> str:
    own = ("POST /predict?top_k=2 HTTP/1.1", "Host: a", "Content-Type: image/jpeg")
    return "\r\n".join([*own, *lines, ""])


async def send_pieces(connection: Plain, contents: list[bytes]) -> httpx.Response:
    for content in contents:
        await connection.send(content)
    return await connection.answer()


@pytest.fixture(scope="module")
def expected(server: RunningServer, cat: Path) -> bytes:
    headers = {"Content-Type": "image/jpeg"}
    url = f"{server.url}/predict?top_k=2"
    return httpx.post(url, content=cat.read_bytes(), headers=headers).raise_for_status().content


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("offer", OFFERS)
def test_an_offer_is_ignored_and_the_connection_is_kept(
    server: RunningServer, cat: Path, expected: bytes, offer: str, framing: str
) -> None:
    contents = FRAMINGS[framing](cat.read_bytes(), head_of(*OFFERS[offer]))

    async def scenario() -> None:
        async with plain(server.url) as connection:
            for _ in range(3):
                answer = await send_pieces(connection, contents)
                assert (answer.status_code, answer.content) == (200, expected)
                assert "connection" not in answer.headers
            await connection.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await connection.answer()).status_code == 200

    asyncio.run(scenario())


def test_requests_behind_an_offer_are_served_in_order(
    server: RunningServer, cat: Path, expected: bytes
) -> None:
    get = "\r\n".join(["GET /healthz HTTP/1.1", "Host: a", *OFFERS["websocket"], "", ""]).encode()
    (post,) = one_piece(cat.read_bytes(), head_of(*OFFERS["h2c"]))

    async def scenario() -> None:
        async with plain(server.url) as connection:
            await connection.send(get + post + post + get)
            answers = [await connection.answer() for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200] * 4
        assert answers[1].content == answers[2].content == expected
        assert answers[0].json() == answers[3].json() == {"status": "ok"}

    asyncio.run(scenario())


def test_an_offer_on_a_connection_that_is_to_be_closed(
    server: RunningServer, cat: Path, expected: bytes
) -> None:
    head = head_of("Connection: close, Upgrade", "Upgrade: h2c")
    (post,) = one_piece(cat.read_bytes(), head)

    async def scenario() -> None:
        async with plain(server.url) as connection:
            await connection.send(post)
            answer = await connection.answer()
            assert answer.content == expected
            assert answer.headers.get("connection", "close") == "close"  # uvicorn 0.45 has none
            assert await connection.rest() == b""

    asyncio.run(scenario())


def test_an_offer_of_http_1_0(server: RunningServer, cat: Path, expected: bytes) -> None:
    head = head_of(*OFFERS["h2c"]).replace("HTTP/1.1", "HTTP/1.0")
    (post,) = one_piece(cat.read_bytes(), head)

    async def scenario() -> None:
        async with plain(server.url) as connection:
            await connection.send(post)
            assert (await connection.answer()).content == expected

    asyncio.run(scenario())


@pytest.mark.parametrize("form", ["raw", "multipart"])
def test_curl_offers_http_2(server: RunningServer, cat: Path, expected: bytes, form: str) -> None:
    raw = ["-H", "Content-Type: image/jpeg", "--data-binary", f"@{cat}"]
    body = raw if form == "raw" else ["-F", f"image=@{cat}", "-F", "top_k=2"]
    path = "/predict?top_k=2" if form == "raw" else "/predict"
    done = subprocess.run(
        [find_tool("curl"), "-sf", "--http2", *body, server.url + path],
        capture_output=True,
        check=True,
        timeout=LIMIT_S,
    )
    assert done.stdout == expected


def test_javas_own_client(server: RunningServer, cat: Path, expected: bytes) -> None:
    done = subprocess.run(
        [find_tool("java", "openjdk-17-jdk-headless"), JAVA, f"{server.url}/predict?top_k=2", cat],
        capture_output=True,
        check=False,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().splitlines() == [f"200 {expected.decode()}"] * 4
