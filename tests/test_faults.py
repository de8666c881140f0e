"""A real process whose device fails: nothing is lost, nothing hangs, each gets its own answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest

from service.api.response.problems import TYPE_PREFIX
from service.settings import PREFIX
from tests.helpers.conditions import wait_until
from tests.helpers.gates import Gates, gated
from tests.helpers.requests import (
    LIMIT_S,
    PATHS,
    PICTURES,
    Exchange,
    ImageRequest,
    ReferenceResponses,
    image_requests,
    metric,
    png,
    send_all,
    send_until,
    wait_for_jobs,
)
from tests.helpers.servers import RunningServer

pytestmark = pytest.mark.alone

STALL_S = 1.5
SETTINGS = {f"{PREFIX}DEADLINE_S": "60", f"{PREFIX}STALL_S": str(STALL_S)}
BLACK = len(PICTURES)  # the one that poisons
N_CLIENTS = 16


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningServer, Gates]]:
    with gated(tmp_path_factory.mktemp("faulty"), "load", "run", settings=SETTINGS) as pair:
        yield pair


@pytest.fixture(scope="module")
def reference(faulty: tuple[RunningServer, Gates]) -> ReferenceResponses:
    return ReferenceResponses(faulty[0].url)


@pytest.fixture
def server(faulty: tuple[RunningServer, Gates]) -> RunningServer:
    return faulty[0]


@pytest.fixture
def gates(faulty: tuple[RunningServer, Gates], reference: ReferenceResponses) -> Gates:
    (faulty[1].folder / "sizes").unlink(missing_ok=True)
    return faulty[1]


@pytest.fixture
def black(monkeypatch: pytest.MonkeyPatch) -> int:
    """Number of a picture that is black."""
    monkeypatch.setattr(
        "tests.helpers.requests.PICTURES", [*PICTURES, png(np.zeros((32, 32, 3), np.uint8))]
    )
    return BLACK


def sizes(gates: Gates) -> list[int]:
    """The sizes of the batches that ran."""
    return [int(line) for line in (gates.folder / "sizes").read_text().split()]


@contextmanager
def fault(gates: Gates, name: str) -> Iterator[None]:
    gates.open(name)
    yield
    gates.close(name)


def send_together(
    server: RunningServer, gates: Gates, asked: Sequence[ImageRequest]
) -> list[Exchange]:
    """Hold the device until all requests wait, so that they are one batch."""

    async def scenario() -> list[Exchange]:
        gates.close("run", "running")
        first = asyncio.create_task(send_all(server.url, [ImageRequest(PATHS[0], 0)]))
        await asyncio.to_thread(gates.wait_until_running)
        others = asyncio.create_task(send_all(server.url, asked))
        await asyncio.to_thread(wait_until, lambda: n_waiting(server) == len(asked))
        gates.open("run")
        await first
        return await others

    return asyncio.run(scenario())


def n_waiting(server: RunningServer) -> float:
    return metric(server.url, "lrpserve_queue_depth")


def assert_failed(asked: Exchange) -> None:
    assert asked.status == 500
    assert isinstance(asked.response, httpx.Response)
    problem = asked.response.json()
    assert problem["type"] == f"{TYPE_PREFIX}internal-error"
    assert problem["request_id"] == asked.request.id


def assert_not_ready(asked: Exchange) -> None:
    assert isinstance(asked.response, httpx.Response)
    assert asked.response.json()["type"] == f"{TYPE_PREFIX}not-ready"
    assert asked.response.headers["Retry-After"] == "1"


@pytest.mark.parametrize("path", PATHS)
def test_one_poisoned_item_of_32_fails_alone(
    server: RunningServer, gates: Gates, reference: ReferenceResponses, black: int, path: str
) -> None:
    asked = [ImageRequest(path, black if n == 13 else n) for n in range(32)]
    with fault(gates, "poison"):
        found = send_together(server, gates, asked)
    assert sizes(gates)[:2] == [1, 32]
    for index, one in enumerate(found):
        if index == 13:
            assert_failed(one)
        else:
            reference.assert_correct(one)
    reference.assert_served(server.url)


@pytest.mark.parametrize("path", PATHS)
def test_a_device_with_memory_for_16_serves_32(
    server: RunningServer, gates: Gates, reference: ReferenceResponses, path: str
) -> None:
    with fault(gates, "small"):
        for one in send_together(server, gates, image_requests(32, [path])):
            reference.assert_correct(one)
        assert max(sizes(gates)[2:]) == 16
        n_before = len(sizes(gates))
        for one in send_together(server, gates, image_requests(32, [path])):
            reference.assert_correct(one)
        assert max(sizes(gates)[n_before:]) == 16  # it remembers
    reference.assert_served(server.url)


def test_a_device_that_fails_for_a_while_under_load_serves_all_others(
    server: RunningServer, gates: Gates, reference: ReferenceResponses
) -> None:
    async def scenario() -> tuple[list[Exchange], float, float]:
        is_over = asyncio.Event()
        load = asyncio.create_task(send_until(server.url, N_CLIENTS, is_over.is_set))
        await asyncio.to_thread(wait_for_jobs, server.url, 2 * N_CLIENTS)
        broken_at = time.monotonic()
        gates.open("broken")
        await asyncio.to_thread(wait_for_jobs, server.url, 3 * N_CLIENTS, "failed")
        gates.close("broken")
        await asyncio.to_thread(wait_until, lambda: readiness(server) == (200, "ready"))
        mended_at = time.monotonic()
        # each client may have one under way that was asked before
        await asyncio.to_thread(wait_for_jobs, server.url, 3 * N_CLIENTS)
        is_over.set()
        return await load, broken_at, mended_at

    found, broken_at, mended_at = asyncio.run(scenario())
    n_failed = 0
    for one in found:
        if one.status == 200:
            reference.assert_correct(one)
            continue
        if one.status == 503:  # until the warm-up image has shown that the device works again
            assert_not_ready(one)
        else:
            assert_failed(one)
        assert one.ended > broken_at
        assert one.began < mended_at
        n_failed += 1
    assert n_failed >= N_CLIENTS
    assert sum(one.ended < broken_at for one in found) >= N_CLIENTS
    assert sum(one.began > mended_at for one in found) >= N_CLIENTS
    reference.assert_served(server.url)


def test_a_device_that_stalls_answers_all_accepted_requests_when_it_goes_on(
    server: RunningServer, gates: Gates, reference: ReferenceResponses
) -> None:
    async def scenario() -> list[Exchange]:
        gates.close("run", "running")
        waiting = asyncio.create_task(send_all(server.url, image_requests(100)))
        await asyncio.to_thread(gates.wait_until_running)
        await asyncio.to_thread(wait_until, lambda: readiness(server) == (503, "stalled"))
        assert not waiting.done()
        gates.open("run")
        return await waiting

    for one in asyncio.run(scenario()):
        reference.assert_correct(one)
    wait_until(lambda: readiness(server) == (200, "ready"))
    reference.assert_served(server.url)


def readiness(server: RunningServer) -> tuple[int, str]:
    answer = httpx.get(f"{server.url}/readyz")
    return answer.status_code, answer.json()["status"]


def test_no_request_to_a_stalled_device_waits_longer_than_the_deadline(
    tmp_path: Path,
) -> None:
    settings = {f"{PREFIX}DEADLINE_S": "1", f"{PREFIX}STALL_S": "0.5"}
    with gated(tmp_path, "load", settings=settings) as (server, gates):
        found = asyncio.run(send_all(server.url, image_requests(32)))
        assert {one.status for one in found} == {504}
        assert max(one.ended - one.began for one in found) < LIMIT_S / 3
        assert readiness(server) == (503, "stalled")
        gates.open("run")
        wait_until(lambda: readiness(server) == (200, "ready"))
        ReferenceResponses(server.url).assert_served(server.url)
