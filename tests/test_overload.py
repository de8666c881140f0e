"""A real process with too many clients, clients that disconnect, and a signal under load."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.settings import PREFIX
from tests.helpers.conditions import wait_until
from tests.helpers.connections import head, plain
from tests.helpers.gates import Gates, gated, is_listening
from tests.helpers.requests import (
    LIMIT_S,
    PATHS,
    Exchange,
    ImageRequest,
    ReferenceResponses,
    image_requests,
    metric,
    send_all,
    send_until,
    wait_for_jobs,
)
from tests.helpers.servers import RunningServer

pytestmark = pytest.mark.alone

SETTINGS = {f"{PREFIX}QUEUE_SIZE": "64", f"{PREFIX}DEADLINE_S": "60"}
ROOMY = {**SETTINGS, f"{PREFIX}QUEUE_SIZE": "1000"}


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningServer, Gates]]:
    with gated(tmp_path_factory.mktemp("roomy"), "load", "run", settings=ROOMY) as pair:
        yield pair


@pytest.fixture(scope="module")
def reference(roomy: tuple[RunningServer, Gates]) -> ReferenceResponses:
    return ReferenceResponses(roomy[0].url)


def n_waiting(server: RunningServer) -> float:
    return metric(server.url, "lrpserve_queue_depth")


@pytest.mark.slow
def test_two_thousand_requests_at_once_get_a_200_or_a_429(
    tmp_path: Path, reference: ReferenceResponses
) -> None:
    with gated(tmp_path, "load", "run", settings=SETTINGS) as (server, _):
        found = asyncio.run(send_all(server.url, image_requests(2000)))
        statuses = Counter(one.status for one in found)
        assert set(statuses) == {200, 429}
        assert statuses[200] >= 64
        for one in found:
            if one.status == 200:
                reference.assert_correct(one)
                continue
            assert isinstance(one.response, httpx.Response)
            assert int(one.response.headers["retry-after"]) >= 1
            assert one.response.json()["request_id"] == one.request.id
        reference.assert_served(server.url)


async def leave_while_sending(
    server: RunningServer, request: ImageRequest, all_wait: asyncio.Event
) -> None:
    image = request.image
    async with plain(server.url) as connection:
        await connection.send(head(request.path, len(image)) + image[: len(image) // 2])
        await all_wait.wait()


async def leave_while_waiting(
    server: RunningServer, request: ImageRequest, all_wait: asyncio.Event
) -> None:
    async with plain(server.url) as connection:
        await connection.send(head(request.path, len(request.image)) + request.image)
        await all_wait.wait()


def test_half_of_500_clients_disconnect_and_the_others_get_their_responses(
    roomy: tuple[RunningServer, Gates], reference: ReferenceResponses
) -> None:
    server, gates = roomy

    async def scenario() -> list[Exchange]:
        gates.close("run", "running")
        all_wait = asyncio.Event()
        first = asyncio.create_task(send_all(server.url, [ImageRequest(PATHS[0], 0)]))
        await asyncio.to_thread(gates.wait_until_running)
        (gates.folder / "sizes").unlink(missing_ok=True)
        staying = asyncio.create_task(send_all(server.url, image_requests(250)))
        sending = [leave_while_sending(server, one, all_wait) for one in image_requests(125)]
        waiting = [leave_while_waiting(server, one, all_wait) for one in image_requests(125)]
        leaving = asyncio.gather(*sending, *waiting)
        await asyncio.to_thread(wait_until, lambda: n_waiting(server) == 375)
        all_wait.set()
        await leaving
        await asyncio.to_thread(wait_until, lambda: n_cancelled(server) == 125)
        gates.open("run")
        await first
        return await staying

    found = asyncio.run(scenario())
    assert len(found) == 250
    for one in found:
        reference.assert_correct(one)
    done = (gates.folder / "sizes").read_text().split()
    assert sum(map(int, done)) == 1 + 250  # nothing was computed for those that had left
    reference.assert_served(server.url)


def n_cancelled(server: RunningServer) -> float:
    return metric(server.url, 'lrpserve_jobs_total{outcome="cancelled"}')


def test_a_signal_under_load_finishes_accepted_requests_and_exits_with_0(
    tmp_path: Path, reference: ReferenceResponses
) -> None:
    with gated(tmp_path, "load", "run", settings=SETTINGS) as (server, gates):

        async def scenario() -> tuple[list[Exchange], list[Exchange]]:
            has_ended = asyncio.Event()
            load = asyncio.create_task(send_until(server.url, 8, has_ended.is_set))
            await asyncio.to_thread(wait_for_jobs, server.url, 16)
            gates.close("run", "running")
            await asyncio.to_thread(gates.wait_until_running)
            accepted = asyncio.create_task(send_all(server.url, image_requests(40)))
            n_running = int((gates.folder / "running").read_text())
            await asyncio.to_thread(wait_until, lambda: n_waiting(server) == 48 - n_running)
            server.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(wait_until, lambda: not is_listening(server.url))
            assert server.process.poll() is None
            gates.open("run")
            await asyncio.to_thread(server.process.wait, LIMIT_S)
            has_ended.set()
            return await accepted, await load

        accepted, load = asyncio.run(scenario())
        assert server.process.wait(LIMIT_S) == 0
        for one in accepted:
            reference.assert_correct(one)
        for one in load:
            if one.status == 200:
                reference.assert_correct(one)
            elif one.status is not None:
                assert one.status in (429, 503)
            else:  # it came when the port was closed, or lay in the system's queue then
                assert not isinstance(one.response, httpx.TimeoutException)
        assert sum(one.status == 200 for one in load) > 8
        assert "Traceback" not in server.read_output()
