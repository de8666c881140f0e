"""Hostile connections: none takes the memory, the time or the connections of others."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.api.response.problems import TYPE_PREFIX
from service.settings import PREFIX
from tests.helpers.conditions import wait_until
from tests.helpers.connections import LIMIT_S, head, plain
from tests.helpers.gates import Gates, gated
from tests.helpers.probing import probing
from tests.helpers.requests import metric
from tests.helpers.servers import RunningServer

pytestmark = pytest.mark.alone

ORIGIN = "https://page.example"
MAX_CONNECTIONS, RECEIVE_S = 100, 6.0
N_BODIES, BODY_BYTES, BODIES_BYTES = 20, 9_500_000, 30_000_000
MB = 1_000_000
CANCELLED = 'lrpserve_jobs_total{outcome="cancelled"}'
GET = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
# more than is read ahead, and less than fills the system's buffer too, which would hide the end
AHEAD = GET * (90_000 // len(GET))
CHUNKED = head("/predict", 0, "Transfer-Encoding: chunked").replace(b"Content-Length: 0\r\n", b"")
SETTINGS = {
    f"{PREFIX}CORS_ORIGINS": ORIGIN,
    f"{PREFIX}MAX_CONNECTIONS": str(MAX_CONNECTIONS),
    f"{PREFIX}MAX_BODIES_BYTES": str(BODIES_BYTES),
    f"{PREFIX}RECEIVE_S": str(RECEIVE_S),
    f"{PREFIX}LOG_LEVEL": "warning",
}


@pytest.fixture(scope="module")
def gated_server(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[RunningServer, Gates]]:
    with gated(tmp_path_factory.mktemp("attacked"), "load", "run", settings=SETTINGS) as running:
        yield running
        assert "Traceback" not in running[0].read_output()  # whatever was done to it


@pytest.fixture
def attacked(gated_server: tuple[RunningServer, Gates]) -> RunningServer:
    return gated_server[0]


@pytest.fixture(scope="module")
def photo(cat: Path) -> bytes:
    return cat.read_bytes()


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 2 * LIMIT_S))


async def ask(url: str, sent: bytes) -> httpx.Response:
    async with plain(url) as connection:
        await connection.send(sent)
        return await connection.answer()


async def predict(server: RunningServer, photo: bytes) -> None:
    answer = await ask(server.url, head("/predict", len(photo)) + photo)
    assert answer.status_code == 200


# Memory and time


def test_pipelined_requests_wait_until_those_before_them_are_answered(
    attacked: RunningServer,
) -> None:
    async def scenario() -> None:
        async with plain(attacked.url) as connection:
            sending = asyncio.create_task(connection.send(GET * (5 * MB // len(GET))))
            for _ in range(1000):
                assert (await connection.answer()).json() == {"status": "ok"}
            sending.cancel()

    with probing(attacked) as probes:
        run(scenario())
    assert probes.growth_bytes < 20 * MB


def unfinished(content: bytes, *lines: str) -> bytes:
    return head("/predict", len(content) + 1, *lines) + content


@pytest.mark.parametrize("kind", ["raw", "gzip"])
def test_unfinished_bodies_have_a_budget_and_keep_no_others_out(
    attacked: RunningServer, photo: bytes, kind: str
) -> None:
    raw = unfinished(bytes(BODY_BYTES))
    compressed = unfinished(gzip.compress(bytes(BODY_BYTES)), "Content-Encoding: gzip")
    sent = raw if kind == "raw" else compressed

    async def hold() -> httpx.Response:
        async with plain(attacked.url) as connection:
            sending = asyncio.create_task(connection.send(sent))
            answer = await connection.answer()
            sending.cancel()
            return answer

    async def scenario() -> None:
        held = [asyncio.create_task(hold()) for _ in range(N_BODIES)]
        while sum(task.done() for task in held) < N_BODIES - BODIES_BYTES // BODY_BYTES:
            await predict(attacked, photo)
        for task in held:
            if task.done():
                answer = task.result()
                assert answer.json()["type"] == f"{TYPE_PREFIX}bodies-full"
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            task.cancel()

    with probing(attacked) as probes:
        run(scenario())
    assert probes.growth_bytes < 4 * BODIES_BYTES


def test_many_tiny_chunks_leave_turns_to_others(attacked: RunningServer) -> None:
    async def send_chunks() -> None:
        chunks = b"1\r\na\r\n" * 30_000 + b"0\r\n\r\n"
        assert (await ask(attacked.url, CHUNKED + chunks)).status_code == 400  # not an image

    async def scenario() -> None:
        await asyncio.gather(*(send_chunks() for _ in range(10)))

    with probing(attacked) as probes:
        began = time.monotonic()
        run(scenario())
        lasted_s = time.monotonic() - began
    assert max(probes.times_s) < lasted_s / 2


def test_the_longest_silent_connection_makes_room_for_another(
    attacked: RunningServer, photo: bytes
) -> None:
    async def scenario() -> None:
        url = attacked.url.removeprefix("http://").split(":")
        silent = [await asyncio.open_connection(*url) for _ in range(MAX_CONNECTIONS + 20)]
        for _ in range(3):
            await predict(attacked, photo)
        assert await asyncio.wait_for(silent[0][0].read(), RECEIVE_S / 2) == b""
        assert not silent[-1][0].at_eof()
        for _, writer in silent:
            writer.transport.abort()

    run(scenario())


# Clients that leave


@pytest.mark.parametrize("n_last_bytes", [100_000, 300_000])
@pytest.mark.parametrize("behind", [b"", AHEAD], ids=["alone", "pipelined"])
def test_the_job_of_a_client_that_leaves_is_cancelled(
    gated_server: tuple[RunningServer, Gates], photo: bytes, n_last_bytes: int, behind: bytes
) -> None:
    server, gates = gated_server
    gates.close("run", "running")
    body = photo + bytes(n_last_bytes)  # behind the end of a JPEG anything may follow
    n_cancelled = metric(server.url, CANCELLED)

    async def scenario() -> None:
        async with plain(server.url) as connection:
            await connection.send(head("/predict", len(body)) + body[:-n_last_bytes])
            sending = asyncio.create_task(connection.send(body[-n_last_bytes:] + behind))
            await asyncio.to_thread(gates.wait_until_running)
            sending.cancel()

    try:
        run(scenario())
        wait_until(lambda: metric(server.url, CANCELLED) == n_cancelled + 1)
    finally:
        gates.open("run")
    run(predict(server, photo))  # the device is free for others


def test_clients_that_reset_their_connections_in_the_middle_of_a_response_harm_nobody(
    attacked: RunningServer, photo: bytes
) -> None:
    large = head("/explain?size=1024&output=heatmap,overlay", len(photo)) + photo

    async def reset() -> None:
        async with plain(attacked.url) as connection:
            await connection.send(large)
            assert await connection.reader.readexactly(100)

    async def scenario() -> None:
        await asyncio.gather(*(reset() for _ in range(20)))
        await predict(attacked, photo)

    run(scenario())


# What requests may look like


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "several `Host` headers"),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", "several `Host` headers"),
        (b"GET /healthz HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", "several `Host` headers"),
        (b"GET /healthz HTTP/1.1\r\n\r\n", "no `Host` header"),
        (b"GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n", "`Host`"),
        (b"GET /healthz HTTP/1.1\r\nHost: me@a/b\r\n\r\n", "`Host`"),
        (b"GET /healthz\r\n\r\n", "HTTP/0.9"),
        (CHUNKED.replace(b"chunked", b"gzip, chunked"), "Transfer-Encoding"),
        (CHUNKED[:-2] + b"Content-Length: 5\r\n\r\n0\r\n\r\n", "RFC 9112"),
        (head("/predict", 5, "Content-Length: 6"), "RFC 9112"),
        (head("/predict", -5), "RFC 9112"),
        (GET[:-2] + b"X: a\r\n b\r\n\r\n", "RFC 9112"),
        (GET.replace(b"\r\n", b"\n"), "RFC 9112"),
        (GET[:-2] + b"X: a\0b\r\n\r\n", "RFC 9112"),
        (GET[:-2].replace(b"Host:", b"Host :") + b"\r\n", "RFC 9112"),
        (CHUNKED + b"f" * 10_000 + b"\r\n", "RFC 9112"),
        (CHUNKED + b"-1\r\n", "RFC 9112"),
        (CHUNKED + b"1\r\na\r\n0\r\nContent-Length: 5\r\n\r\n", "RFC 9112"),
        (b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", "RFC 9112"),
    ],
)
def test_a_request_that_is_ambiguous_is_a_400(
    attacked: RunningServer, sent: bytes, said: str
) -> None:
    async def scenario() -> None:
        answer = await ask(attacked.url, sent)
        assert (answer.status_code, answer.headers["connection"]) == (400, "close")
        assert said in answer.json()["detail"]

    run(scenario())


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /healthz HTTP/1.0\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost:\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: [::1%25eth0]:80\r\n\r\n",
        b"GET http://a.example/healthz HTTP/1.1\r\nHost: a.example:80\r\n\r\n",
    ],
)
def test_a_request_with_an_unusual_host_is_served(attacked: RunningServer, sent: bytes) -> None:
    async def scenario() -> None:
        assert (await ask(attacked.url, sent)).status_code == 200

    run(scenario())


@pytest.mark.parametrize(
    "sent",
    [
        GET[:-2] + b"a:\r\n" * 200 + b"\r\n",
        CHUNKED + b"".join(b"1;%s\r\na\r\n" % (b"x" * 10_000) for _ in range(10)),
        CHUNKED + b"1\r\na\r\n0\r\n" + b"X: a\r\n" * 20_000,
    ],
    ids=["headers", "extensions", "trailers"],
)
def test_headers_extensions_and_trailers_are_bounded(attacked: RunningServer, sent: bytes) -> None:
    async def scenario() -> None:
        answer = await ask(attacked.url, sent)
        assert (answer.status_code, answer.headers["connection"]) == (431, "close")

    run(scenario())


def test_100_continue_is_for_http_1_1_only(attacked: RunningServer, photo: bytes) -> None:
    sent = head("/predict", len(photo), "Expect: 100-continue")

    async def scenario() -> None:
        for version, first in ((b"HTTP/1.1", b"HTTP/1.1 100 "), (b"HTTP/1.0", b"HTTP/1.1 200 ")):
            async with plain(attacked.url) as connection:
                await connection.send(sent.replace(b"HTTP/1.1", version))
                wait_for_it = connection.reader.readexactly(len(first))
                if version == b"HTTP/1.1":
                    assert await wait_for_it == first
                else:
                    await connection.send(photo)
                    assert await wait_for_it == first

    run(scenario())


def test_a_response_in_place_of_100_continue_ends_the_connection(attacked: RunningServer) -> None:
    async def scenario() -> None:
        async with plain(attacked.url) as connection:
            await connection.send(head("/nothing", len(GET), "Expect: 100-continue"))
            answer = await connection.answer()
            assert (answer.status_code, answer.headers["connection"]) == (404, "close")
            await connection.send(GET)  # a body, or another request?
            assert await connection.rest() == b""

    run(scenario())


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (GET[:-2] + b"Origin: %s\r\nHost: b\r\n\r\n", 400),
        (GET[:-2] + b"Origin: %s\r\nX: ", 408),
        (GET[:-2] + b"Origin: %s\r\n" + b"a:\r\n" * 200 + b"\r\n", 431),
    ],
    ids=["400", "408", "431"],
)
def test_pages_can_read_what_the_protocol_responds(
    attacked: RunningServer, sent: bytes, status: int
) -> None:
    async def scenario() -> None:
        own, other = await asyncio.gather(
            ask(attacked.url, sent % ORIGIN.encode()),
            ask(attacked.url, sent % b"https://b.example"),
        )
        assert own.status_code == other.status_code == status
        assert own.headers["access-control-allow-origin"] == ORIGIN
        assert "X-Request-ID" in own.headers["access-control-expose-headers"]
        assert own.headers["vary"] == "Origin"
        assert "access-control-allow-origin" not in other.headers

    run(scenario())


@pytest.mark.parametrize("path", ["/docs/", "/swagger", "/swagger/", "/web", "/web/", "//b", "/a/"])
def test_no_response_repeats_the_host(attacked: RunningServer, path: str) -> None:
    answer = httpx.get(f"{attacked.url}{path}", headers={"Host": "evil.example"})
    assert "evil.example" not in str(answer.headers) + answer.text


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_no_other_page_may_frame_a_page(attacked: RunningServer, path: str) -> None:
    headers = httpx.get(f"{attacked.url}{path}", headers={"Accept": "text/html"}).headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"
