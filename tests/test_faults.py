"""A real process under faults: nothing is lost, nothing hangs, each gets its own answer."""

from __future__ import annotations

import asyncio
import io
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from service.settings import PREFIX
from tests.servers import RunningServer
from tests.test_server import Gates, gated, wait_until

LIMIT_S = 60.0
SETTINGS = {f"{PREFIX}QUEUE_SIZE": "64", f"{PREFIX}DEADLINE_S": "30"}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningServer, Gates]]:
    with gated(tmp_path_factory.mktemp("faulty"), "load", "run", settings=SETTINGS) as pair:
        yield pair


@pytest.fixture
def server(faulty: tuple[RunningServer, Gates]) -> RunningServer:
    return faulty[0]


@pytest.fixture
def gates(faulty: tuple[RunningServer, Gates]) -> Gates:
    (faulty[1].folder / "sizes").unlink(missing_ok=True)
    return faulty[1]


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


BLACK = png(np.zeros((32, 32, 3), np.uint8))
PICTURES = [
    png(np.random.default_rng(n).integers(0, 255, (32, 32, 3), dtype=np.uint8)) for n in range(32)
]


def sizes(gates: Gates) -> list[int]:
    """Of the batches that were done."""
    return [int(line) for line in (gates.folder / "sizes").read_text().split()]


@contextmanager
def fault(gates: Gates, name: str) -> Iterator[None]:
    gates.open(name)
    yield
    gates.close(name)


async def post_all(url: str, images: Sequence[bytes]) -> list[httpx.Response | httpx.HTTPError]:
    """Send images at once, each on a connection of its own."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=LIMIT_S) as client:

        async def post(image: bytes) -> httpx.Response | httpx.HTTPError:
            try:
                return await client.post(
                    "/predict", content=image, headers={"Content-Type": "image/png"}
                )
            except httpx.HTTPError as error:
                return error

        return await asyncio.gather(*map(post, images))


def answers_to(server: RunningServer, images: Sequence[bytes]) -> list[httpx.Response]:
    found = asyncio.run(post_all(server.url, images))
    answers = [answer for answer in found if isinstance(answer, httpx.Response)]
    assert len(answers) == len(images)
    return answers


def logits(answer: httpx.Response) -> list[float]:
    assert answer.status_code == 200
    return [
        score["logit"] for score in sorted(answer.json()["predictions"], key=lambda s: s["index"])
    ]


@pytest.fixture(scope="module")
def alone(faulty: tuple[RunningServer, Gates]) -> list[list[float]]:
    """The answer to each picture that was sent alone."""
    return [logits(answers_to(faulty[0], [picture])[0]) for picture in PICTURES]


def send_together(
    server: RunningServer, gates: Gates, images: Sequence[bytes]
) -> list[httpx.Response]:
    """Hold the device until all images wait, so that they are one batch."""

    async def scenario() -> list[httpx.Response | httpx.HTTPError]:
        gates.close("run", "running")
        first = asyncio.create_task(post_all(server.url, PICTURES[:1]))
        await asyncio.to_thread(gates.wait_until_running)
        others = asyncio.create_task(post_all(server.url, images))
        await asyncio.sleep(1)
        gates.open("run")
        await first
        return await others

    found = asyncio.run(scenario())
    answers = [answer for answer in found if isinstance(answer, httpx.Response)]
    assert len(answers) == len(images)
    return answers


def assert_served(server: RunningServer, alone: list[list[float]]) -> None:
    (answer,) = answers_to(server, PICTURES[:1])
    np.testing.assert_allclose(logits(answer), alone[0], atol=1e-4)


def test_one_poisoned_item_of_32_fails_alone(
    server: RunningServer, gates: Gates, alone: list[list[float]]
) -> None:
    images = [*PICTURES[:13], BLACK, *PICTURES[14:]]
    with fault(gates, "poison"):
        answers = send_together(server, gates, images)
    assert max(sizes(gates)) == 32
    for index, answer in enumerate(answers):
        if index == 13:
            assert answer.status_code == 500
        else:
            np.testing.assert_allclose(logits(answer), alone[index], atol=1e-4)
    assert_served(server, alone)


def test_a_device_with_room_for_16_serves_32(
    server: RunningServer, gates: Gates, alone: list[list[float]]
) -> None:
    with fault(gates, "small"):
        answers = send_together(server, gates, PICTURES)
        for answer, wanted in zip(answers, alone, strict=True):
            np.testing.assert_allclose(logits(answer), wanted, atol=1e-4)
        assert sizes(gates)[:4] == [1, 32, 16, 16]
        send_together(server, gates, PICTURES)
        assert max(sizes(gates)[4:]) == 16  # it remembers


def test_a_device_that_fails_for_two_seconds_serves_again(
    server: RunningServer, gates: Gates, alone: list[list[float]]
) -> None:
    with fault(gates, "broken"):
        ends_at = time.monotonic() + 2
        while time.monotonic() < ends_at:
            answers = answers_to(server, PICTURES)
            assert {answer.status_code for answer in answers} == {500}
    answers = answers_to(server, PICTURES)
    for answer, wanted in zip(answers, alone, strict=True):
        np.testing.assert_allclose(logits(answer), wanted, atol=1e-4)


def test_two_thousand_requests_at_once_are_served_or_told_to_come_back(
    server: RunningServer, gates: Gates, alone: list[list[float]]
) -> None:
    answers = answers_to(server, [PICTURES[n % 32] for n in range(2000)])
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) <= {200, 429}
    assert statuses[200] >= 64
    for index, answer in enumerate(answers):
        if answer.status_code == 429:
            assert int(answer.headers["retry-after"]) >= 1
        else:
            np.testing.assert_allclose(logits(answer), alone[index % 32], atol=1e-4)
    assert_served(server, alone)


def test_clients_that_leave_do_not_hurt_those_that_stay(
    server: RunningServer, gates: Gates, alone: list[list[float]]
) -> None:
    async def leave(image: bytes) -> None:
        host, port = server.url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        head = "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\n"
        writer.write(f"{head}Content-Length: {len(image)}\r\n\r\n".encode() + image)
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.transport.abort()

    async def scenario() -> list[httpx.Response | httpx.HTTPError]:
        found: list[httpx.Response | httpx.HTTPError] = []
        for start in range(0, 250, 25):  # 25 that stay and 25 that leave at a time
            stay = [PICTURES[n % 32] for n in range(start, start + 25)]
            leaving = asyncio.gather(*map(leave, stay))
            found += await post_all(server.url, stay)
            await leaving
        return found

    answers = asyncio.run(scenario())
    assert len(answers) == 250
    for index, answer in enumerate(answers):
        assert isinstance(answer, httpx.Response)
        np.testing.assert_allclose(logits(answer), alone[index % 32], atol=1e-4)
    assert_served(server, alone)


def test_a_device_that_stalls_makes_nobody_wait_longer_than_the_deadline(
    tmp_path: Path,
) -> None:
    settings = {**SETTINGS, f"{PREFIX}DEADLINE_S": "1", f"{PREFIX}STALL_S": "0.5"}
    with gated(tmp_path, "load", settings=settings) as (server, gates):
        began = time.monotonic()
        answers = answers_to(server, PICTURES)
        assert {answer.status_code for answer in answers} == {504}
        assert time.monotonic() - began < 20
        assert httpx.get(f"{server.url}/readyz").json() == {"status": "stalled"}
        gates.open("run")
        wait_until(lambda: httpx.get(f"{server.url}/readyz").status_code == 200)
        assert [answer.status_code for answer in answers_to(server, PICTURES)] == [200] * 32


def test_a_signal_under_load_answers_what_was_accepted_and_ends_with_0(tmp_path: Path) -> None:
    with gated(tmp_path, "load", "run", settings=SETTINGS) as (server, _):

        async def scenario() -> list[httpx.Response | httpx.HTTPError]:
            rounds = [asyncio.create_task(post_all(server.url, PICTURES)) for _ in range(10)]
            await asyncio.sleep(0.3)
            server.process.send_signal(signal.SIGTERM)
            return [answer for answers in await asyncio.gather(*rounds) for answer in answers]

        answers = asyncio.run(scenario())
        assert len(answers) == 320
        for answer in answers:
            if isinstance(answer, httpx.Response):
                assert answer.status_code in (200, 429, 503)
            else:  # it came after the port was closed, or lay in the system's queue then
                assert isinstance(
                    answer, httpx.ConnectError | httpx.ReadError | httpx.RemoteProtocolError
                )
        assert server.process.wait(LIMIT_S) == 0
