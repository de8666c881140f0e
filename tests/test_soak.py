"""Thousands of requests, and a hundred models, leave the memory of a real process as it was."""

from __future__ import annotations

import asyncio
import base64
import io
import itertools
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from service.methods import COMPOSITES
from service.settings import PREFIX
from tests.helpers.bundles import replace_bundle, write_variant
from tests.helpers.connections import head, plain
from tests.helpers.processes import anonymous_bytes
from tests.helpers.requests import wait_for_empty_queue
from tests.helpers.servers import running_server

N_CLIENTS = 8
GROWTH = 1.03
MAX_BODY_BYTES = 100_000
TOO_LARGE = bytes(MAX_BODY_BYTES + 1)
RULES: list[dict[str, Any]] = [
    {"layers": "type:convolution", "rule": "gamma", "gamma": 0.25},
    {"layers": "type:dense", "rule": "epsilon"},
    {"layers": "type:activation", "rule": "pass"},
]


def picture(side: int, kind: str, mode: str = "RGB") -> bytes:
    pixels = np.random.default_rng(side).integers(0, 255, (side, side, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, kind)
    return buffer.getvalue()


PICTURES = [
    picture(32, "PNG"),
    picture(40, "JPEG", "L"),
    picture(150, "JPEG"),
    picture(100, "WEBP"),
    picture(64, "GIF", "P"),
    picture(33, "BMP"),
    picture(90, "TIFF", "CMYK"),
    picture(128, "PNG", "RGBA"),
]

Client = httpx.AsyncClient
Ask = Callable[[Client, int], Awaitable[int]]  # gives the status; 0 for who has left


def raw(options: dict[str, Any], accept: str = "*/*", path: str = "/explain") -> Ask:
    async def ask(client: Client, n: int) -> int:
        headers = {"Content-Type": "application/octet-stream", "Accept": accept}
        image = PICTURES[n % len(PICTURES)]
        sent = await client.post(path, content=image, params=options, headers=headers)
        return sent.status_code

    return ask


def form(options: dict[str, str]) -> Ask:
    async def ask(client: Client, n: int) -> int:
        files = {"image": PICTURES[n % len(PICTURES)]}
        return (await client.post("/explain", files=files, data=options)).status_code

    return ask


def in_json(options: dict[str, Any]) -> Ask:
    async def ask(client: Client, n: int) -> int:
        image = base64.b64encode(PICTURES[n % len(PICTURES)]).decode()
        return (await client.post("/explain", json={"image": image, **options})).status_code

    return ask


def wrong(content: bytes, media_type: str) -> Ask:
    async def ask(client: Client, n: int) -> int:
        headers = {"Content-Type": media_type}
        return (await client.post("/explain", content=content, headers=headers)).status_code

    return ask


def get(path: str) -> Ask:
    async def ask(client: Client, n: int) -> int:
        return (await client.get(path)).status_code

    return ask


def own_rules(offset: int) -> Ask:
    """Ask for a twin of its own each time: more than are kept, from the first requests on."""

    async def ask(client: Client, n: int) -> int:
        rules = [{**RULES[0], "gamma": 0.01 * (2 * n + offset)}, *RULES[1:]]
        return await raw({"composite": json.dumps(rules)})(client, n)

    return ask


async def leave(client: Client, n: int) -> int:
    image = PICTURES[n % len(PICTURES)]
    sent = head("/explain", len(image)) + image
    async with plain(str(client.base_url).rstrip("/")) as connection:
        await connection.send(sent[: len(sent) - (n % 3) * (len(image) // 4)])
        await asyncio.sleep(0.001 * (n % 7))
    return 0


async def say_nonsense(client: Client, n: int) -> int:
    async with plain(str(client.base_url).rstrip("/")) as connection:
        await connection.send(b"nonsense\r\n\r\n")
        return (await connection.answer()).status_code


KINDS: tuple[Ask, ...] = (
    raw({}, path="/predict"),
    raw({"top_k": 3, "fit": "pad"}, path="/predict"),
    raw({}),
    *(raw({"composite": name, "size": 64}) for name in COMPOSITES),
    raw({"attributor": "smooth_grad", "n_samples": 3}),
    raw({"attributor": "integrated_gradients", "n_steps": 3}),
    raw({"attributor": "occlusion", "window": 16, "stride": 16}),
    raw({"layer": "features.5", "epsilon": 0.1}),
    raw({"size": 512}, "image/png"),
    raw({"output": "overlay", "size": 128}, "image/png"),
    raw({"channels": "all"}, "application/x-npy"),
    raw({"output": "heatmap,overlay,relevance", "relevance_format": "list"}),
    own_rules(0),
    own_rules(1),
    form({"output": "overlay"}),
    form({"target": "dog", "contrast": "cat"}),
    in_json({"targets": ["cat", "dog", 7]}),
    in_json({"start": "logit"}),
    raw({"size": "huge"}),
    raw({}, "text/html"),
    wrong(b"", "image/png"),
    wrong(PICTURES[2][:500], "image/jpeg"),
    wrong(b"{", "application/json"),
    wrong(b"--x\r\n", "multipart/form-data; boundary=x"),
    wrong(b"text", "text/plain"),
    wrong(TOO_LARGE, "image/png"),
    get("/models"),
    get("/nothing"),
    get("/metrics"),
    leave,
    leave,
    say_nonsense,
)


async def send(url: str, n: int, numbers: itertools.count[int]) -> Counter[int]:
    """Send so many requests, of all kinds in turn."""
    statuses: Counter[int] = Counter()
    last = next(numbers) + n

    async def be_a_client() -> None:
        async with Client(base_url=url, timeout=60) as client:
            while (number := next(numbers)) <= last:
                statuses[await KINDS[number % len(KINDS)](client, number // len(KINDS))] += 1

    await asyncio.gather(*(be_a_client() for _ in range(N_CLIENTS)))
    await asyncio.to_thread(wait_for_empty_queue, url)  # of those that have left, too
    return statuses


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_twenty_thousand_requests_leave_the_memory_as_it_was(tmp_path: Path) -> None:
    settings = {f"{PREFIX}MAX_BODY_BYTES": str(MAX_BODY_BYTES), f"{PREFIX}LOG_LEVEL": "warning"}
    numbers, found = itertools.count(), []
    with running_server(tmp_path, settings) as server:
        for _ in range(10):
            statuses = asyncio.run(send(server.url, 2000, numbers))
            assert set(statuses) == {0, 200, 400, 404, 406, 413, 415, 422}
            assert statuses[200] > 1000
            found.append(anonymous_bytes(server.process.pid) // 1024)
    assert found[-1] < GROWTH * found[0], f"KiB after each 2,000: {found}"


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_hundred_reloads_leave_the_memory_as_it_was(tmp_path: Path) -> None:
    card, found = write_variant(tmp_path / "variant-0", 0), []
    write_variant(tmp_path / "variant-1", 1)
    replace_bundle(tmp_path / "default", tmp_path / "variant-0")
    settings = {
        f"{PREFIX}MODEL": str(tmp_path / "default"),
        f"{PREFIX}MODEL_CONTROL": "open",
        "MALLOC_ARENA_MAX": "1",  # else what malloc keeps free depends on the threads that load
    }
    with running_server(tmp_path, settings) as server:
        for n in range(1, 101):
            replace_bundle(tmp_path / "default", tmp_path / f"variant-{n % 2}")
            reloaded = httpx.post(f"{server.url}/models/{card.name}/reload", timeout=60)
            assert reloaded.json()["is_changed"]
            explained = httpx.post(f"{server.url}/explain", files={"image": PICTURES[0]})
            assert explained.json()["model_sha256"] == reloaded.json()["sha256"]
            if n % 10 == 0:
                found.append(anonymous_bytes(server.process.pid) // 1024)
    assert found[-1] < GROWTH * found[0], f"KiB after each 10: {found}"
