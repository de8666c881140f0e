"""A real process with dear requests, floods and devices that fail: nobody else is hurt."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import numpy as np
import pytest

from service.api.response.problems import TYPE_PREFIX
from service.settings import PREFIX
from tests.helpers.conditions import LIMIT_S, wait_until
from tests.helpers.gates import gated, post
from tests.helpers.requests import PICTURES, metric
from tests.helpers.servers import RunningServer, running_server

pytestmark = pytest.mark.alone

N_DEAR, N_CHEAP = 4, 100
DEAR = {
    "image": base64.b64encode(PICTURES[0]).decode(),
    "attributor": "smooth_grad",
    "n_samples": 16,
    "targets": list(range(10)),
}


async def send_cheap(client: httpx.AsyncClient, is_over: Callable[[int], bool]) -> list[float]:
    """Predict again and again until `is_over`; returns the seconds of each request."""
    times_s: list[float] = []
    while not is_over(n := len(times_s)):
        began = time.perf_counter()
        answer = await client.post("/predict", content=PICTURES[n % len(PICTURES)])
        times_s.append(time.perf_counter() - began)
        assert answer.status_code == 200
        await asyncio.sleep(0.02)  # a client that thinks, so that there is not one batch of all
    return times_s


async def send_dear(client: httpx.AsyncClient) -> float:
    """Send a dear request from each of several clients; returns the seconds of all of them."""
    began = time.perf_counter()
    answers = await asyncio.gather(*(client.post("/explain", json=DEAR) for _ in range(N_DEAR)))
    assert {answer.status_code for answer in answers} == {200}
    return time.perf_counter() - began


def test_cheap_requests_are_quick_beside_dear_ones_which_keep_two_thirds_of_their_rate(
    tmp_path: Path,
) -> None:
    async def scenario(url: str) -> None:
        headers = {"Content-Type": "image/png"}
        async with (
            httpx.AsyncClient(base_url=url, headers=headers, timeout=LIMIT_S) as cheap,
            httpx.AsyncClient(base_url=url, timeout=LIMIT_S) as dear,
        ):
            alone_s = await send_cheap(cheap, lambda n: n == N_CHEAP)
            dear_alone_s = await send_dear(dear)
            dear_beside = asyncio.create_task(send_dear(dear))
            await until(lambda: is_computing(cheap))
            beside_s = await send_cheap(cheap, lambda n: dear_beside.done())
            dear_beside_s = await dear_beside
        assert len(beside_s) > 20
        assert np.percentile(beside_s, 99) <= 10 * np.percentile(alone_s, 99)
        assert dear_beside_s <= 1.5 * dear_alone_s

    settings = {f"{PREFIX}DEADLINE_S": "60"}
    with running_server(tmp_path, settings) as server:
        asyncio.run(scenario(server.url))


async def until(is_true: Callable[[], Awaitable[bool]]) -> None:
    while not await is_true():
        pass


async def is_computing(client: httpx.AsyncClient) -> bool:
    """Whether one of the dear requests has been taken from the queue."""
    text = (await client.get("/metrics")).text
    depth = next(line for line in text.splitlines() if line.startswith("lrpserve_queue_depth "))
    return float(depth.split()[1]) == N_DEAR - 1


def test_a_flood_of_one_key_shuts_no_other_key_out(tmp_path: Path) -> None:
    keys = [f"the-key-number-{n}-of-this-test" for n in range(2)]
    settings = {
        f"{PREFIX}API_KEYS": ",".join(keys),
        f"{PREFIX}QUEUE_SIZE": "96",
        f"{PREFIX}DEADLINE_S": "60",
    }
    ended: list[tuple[int, int]] = []

    async def scenario(url: str) -> None:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=url, limits=limits, timeout=LIMIT_S) as client:

            async def send(key: int, path: str) -> None:
                headers = {"X-API-Key": keys[key], "Content-Type": "image/png"}
                answer = await client.post(path, content=PICTURES[0], headers=headers)
                ended.append((key, answer.status_code))

            first = asyncio.create_task(send(0, "/predict"))
            await asyncio.to_thread(gates.wait_until_running)
            flood = [asyncio.create_task(send(0, "/explain")) for _ in range(200)]
            await asyncio.to_thread(wait_until, lambda: len(ended) == 104)  # those beyond 96
            other = asyncio.create_task(send(1, "/predict"))
            await asyncio.to_thread(wait_until, lambda: len(ended) == 105)  # one is displaced
            gates.open("run")
            await asyncio.gather(first, *flood, other)

    with gated(tmp_path, "load", settings=settings) as (server, gates):
        asyncio.run(scenario(server.url))
    assert [status for _, status in ended[:105]] == [429] * 105
    assert [status for _, status in ended[105:]] == [200] * 97
    assert ended.index((1, 200)) < 105 + 65  # after two batches of the other key at most


def test_too_many_passes_are_refused_before_the_image_is_decoded(tmp_path: Path) -> None:
    with running_server(tmp_path, {f"{PREFIX}MAX_PASSES": "100"}) as server:
        not_an_image = DEAR | {"image": base64.b64encode(b"not an image").decode()}
        refused = httpx.post(f"{server.url}/explain", json=not_an_image, timeout=LIMIT_S)
        fewer = httpx.post(f"{server.url}/explain", json=DEAR | {"n_samples": 10}, timeout=LIMIT_S)
        limits = httpx.get(f"{server.url}/models").json()["limits"]
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["option"] == "n_samples"
    assert "takes 160 passes" in refused.json()["detail"]
    assert "allows 100: lower it, or give fewer targets" in refused.json()["detail"]
    assert fewer.status_code == 200
    assert limits["max_passes"] == 100


def readiness(server: RunningServer) -> tuple[int, str]:
    answer = httpx.get(f"{server.url}/readyz")
    return answer.status_code, answer.json()["status"]


def test_a_device_that_fails_is_not_ready_until_it_works_and_broken_if_it_does_not(
    tmp_path: Path,
) -> None:
    with gated(tmp_path, "load", "run", "broken") as (server, gates):
        assert post(server, PICTURES[0]).status_code == 500
        wait_until(lambda: readiness(server) == (503, "failing"))
        refused = post(server, PICTURES[0])
        assert refused.json()["type"] == f"{TYPE_PREFIX}not-ready"
        assert refused.headers["retry-after"]
        gates.close("broken")
        wait_until(lambda: readiness(server) == (200, "ready"))
        assert post(server, PICTURES[0]).status_code == 200

        gates.open("broken")
        assert post(server, PICTURES[0]).status_code == 500
        wait_until(lambda: httpx.get(f"{server.url}/healthz").status_code == 503)
        assert readiness(server) == (503, "broken")
        refused = post(server, PICTURES[0])
        assert (refused.status_code, refused.json()["type"]) == (503, f"{TYPE_PREFIX}broken")
        assert "retry-after" not in refused.headers


def test_out_of_memory_is_said_once_and_the_others_are_served(tmp_path: Path) -> None:
    with gated(tmp_path, "load", "run", "tiny") as (server, gates):
        refused = post(server, PICTURES[0])
        assert (refused.status_code, refused.json()["type"]) == (507, f"{TYPE_PREFIX}out-of-memory")
        assert "retry-after" not in refused.headers
        assert readiness(server) == (200, "ready")
        gates.close("tiny")
        assert post(server, PICTURES[0]).status_code == 200
        assert metric(server.url, 'lrpserve_jobs_total{outcome="failed"}') == 1
