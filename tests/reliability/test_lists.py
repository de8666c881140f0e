"""A real process, one client of which sends lists of images: nobody else is hurt."""

from __future__ import annotations

import asyncio
import base64
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from service.settings import PREFIX
from tests.helpers.conditions import LIMIT_S, wait_until
from tests.helpers.gates import gated
from tests.helpers.requests import PICTURES
from tests.helpers.servers import running_server

pytestmark = pytest.mark.alone

KEYS = [f"the-key-number-{n}-of-this-test" for n in range(2)]
HEADERS = [{"X-API-Key": key} for key in KEYS]
N_IMAGES = 32  # of a list
IMAGES = [base64.b64encode(PICTURES[n % len(PICTURES)]).decode() for n in range(N_IMAGES)]
N_LISTS, N_SINGLE = 2, 30


def statuses_of(response: httpx.Response) -> list[int]:
    return [result["status"] for result in response.json()["results"]]


def n_rejected(url: str) -> float:
    """The images that were refused, or displaced."""
    lines = httpx.get(f"{url}/metrics", headers=HEADERS[0]).text.splitlines()
    name = 'lrpserve_jobs_total{outcome="rejected"}'
    return next(float(line.split()[1]) for line in lines if line.startswith(name))


def test_lists_of_one_key_shut_no_other_key_out(tmp_path: Path) -> None:
    queue_size = 48
    settings = {
        f"{PREFIX}API_KEYS": ",".join(KEYS),
        f"{PREFIX}QUEUE_SIZE": str(queue_size),
        f"{PREFIX}DEADLINE_S": "60",
    }
    ended: list[tuple[int, httpx.Response]] = []

    async def scenario(url: str) -> None:
        async with httpx.AsyncClient(base_url=url, timeout=LIMIT_S) as client:

            async def send(key: int, body: dict[str, Any]) -> None:
                response = await client.post("/predict", json=body, headers=HEADERS[key])
                ended.append((key, response))

            first = asyncio.create_task(send(0, {"image": IMAGES[0]}))
            await asyncio.to_thread(gates.wait_until_running)
            lists = [asyncio.create_task(send(0, {"images": IMAGES})) for _ in range(2)]
            n_beyond = len(lists) * N_IMAGES - queue_size
            await asyncio.to_thread(wait_until, lambda: n_rejected(url) == n_beyond)
            other = asyncio.create_task(send(1, {"image": IMAGES[0]}))
            await asyncio.to_thread(wait_until, lambda: n_rejected(url) == n_beyond + 1)
            gates.open("run")
            await asyncio.gather(first, *lists, other)

    with gated(tmp_path, "load", settings=settings) as (server, gates):
        asyncio.run(scenario(server.url))
    assert [key for key, _ in ended].index(1) <= 1  # before both lists
    single = [response.status_code for _, response in ended if "results" not in response.json()]
    assert single == [200, 200]
    in_lists = [s for _, r in ended if "results" in r.json() for s in statuses_of(r)]
    assert in_lists.count(200) == queue_size - 1
    assert in_lists.count(429) == len(in_lists) - queue_size + 1


async def send_singles(client: httpx.AsyncClient, n: int) -> list[float]:
    """Explain one image after the other; returns the seconds of each request."""
    times_s: list[float] = []
    for _ in range(n):
        began = time.perf_counter()
        response = await client.post("/explain", json={"image": IMAGES[0]}, headers=HEADERS[1])
        times_s.append(time.perf_counter() - began)
        assert response.status_code == 200
    return times_s


async def send_all(client: httpx.AsyncClient, bodies: list[dict[str, Any]]) -> None:
    """Send requests of the other key at once, and all of them again, until cancelled."""

    async def send(body: dict[str, Any]) -> None:
        while True:
            response = await client.post("/explain", json=body, headers=HEADERS[0])
            assert response.status_code == 200
            assert set(statuses_of(response) if "images" in body else [200]) == {200}

    await asyncio.gather(*map(send, bodies))


def test_lists_delay_another_client_no_longer_than_as_many_single_images(tmp_path: Path) -> None:
    async def scenario(url: str) -> None:
        limits = httpx.Limits(max_connections=None)
        async with (
            httpx.AsyncClient(base_url=url, limits=limits, timeout=LIMIT_S) as many,
            httpx.AsyncClient(base_url=url, timeout=LIMIT_S) as single,
        ):

            async def times_beside(bodies: list[dict[str, Any]]) -> list[float]:
                others = asyncio.create_task(send_all(many, bodies))
                await send_singles(single, N_SINGLE // 3)  # until all are sent
                times_s = await send_singles(single, N_SINGLE)
                assert not others.done()
                others.cancel()
                await asyncio.wait([others])
                return times_s

            beside_singles = await times_beside([{"image": IMAGES[0]}] * (N_LISTS * N_IMAGES))
            beside_lists = await times_beside([{"images": IMAGES}] * N_LISTS)
        assert np.median(beside_lists) <= 2 * np.median(beside_singles)
        assert np.percentile(beside_lists, 90) <= 3 * np.percentile(beside_singles, 90)

    settings = {f"{PREFIX}API_KEYS": ",".join(KEYS)}
    with running_server(tmp_path, settings) as server:
        asyncio.run(scenario(server.url))
