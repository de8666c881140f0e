"""Many concurrent requests with an id each, and a check of their responses."""

from __future__ import annotations

import asyncio
import base64
import io
import itertools
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import httpx
import numpy as np
from PIL import Image

from tests.helpers.conditions import wait_until

LIMIT_S = 60.0
PATHS = ("/predict", "/explain?output=relevance")
N_PICTURES = 32
_numbers = itertools.count()


def png(pixels: np.ndarray) -> bytes:
    """Encode pixels as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


PICTURES = [
    png(np.random.default_rng(n).integers(0, 255, (32, 32, 3), dtype=np.uint8))
    for n in range(N_PICTURES)
]


@dataclass(frozen=True)
class ImageRequest:
    """A request for one of `PICTURES`, with an id of its own."""

    path: str
    picture: int
    id: str = field(default_factory=lambda: f"request-{next(_numbers)}")

    @property
    def headers(self) -> dict[str, str]:
        """The HTTP headers."""
        return {"Content-Type": "image/png", "X-Request-ID": self.id}

    @property
    def image(self) -> bytes:
        """The body: a PNG file."""
        return PICTURES[self.picture]


def image_requests(n: int, paths: Sequence[str] = PATHS) -> list[ImageRequest]:
    """Make requests that go round all pictures, with each path equally often."""
    pictures = len(PICTURES)
    return [ImageRequest(paths[(i // pictures + i) % len(paths)], i % pictures) for i in range(n)]


Values = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Exchange:
    """A request and its response, or the error in its place, with the times of both in seconds."""

    request: ImageRequest
    response: httpx.Response | httpx.TransportError
    began: float
    ended: float

    @property
    def status(self) -> int | None:
        """HTTP status; None without a response."""
        return self.response.status_code if isinstance(self.response, httpx.Response) else None


async def send(client: httpx.AsyncClient, request: ImageRequest) -> Exchange:
    """Send a request and wait for its response."""
    began = time.monotonic()
    response: httpx.Response | httpx.TransportError
    try:
        response = await client.post(request.path, content=request.image, headers=request.headers)
    except httpx.TransportError as error:
        response = error
    return Exchange(request, response, began, time.monotonic())


async def send_all(url: str, requests: Sequence[ImageRequest]) -> list[Exchange]:
    """Send requests concurrently, each on a connection of its own."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=LIMIT_S) as client:
        return await asyncio.gather(*(send(client, request) for request in requests))


async def send_until(url: str, n_clients: int, is_over: Callable[[], bool]) -> list[Exchange]:
    """Send requests from several clients, one after another from each, until `is_over`."""

    async def run_client(first: int) -> list[Exchange]:
        exchanges = []
        async with httpx.AsyncClient(base_url=url, timeout=LIMIT_S) as client:
            for n in itertools.count(first):
                exchanges.append(await send(client, ImageRequest(PATHS[n % 2], n % N_PICTURES)))
                if is_over():
                    return exchanges
                if exchanges[-1].status is None:
                    await asyncio.sleep(0.05)  # as a client would before it tries again
        return exchanges

    clients = await asyncio.gather(*(run_client(5 * n) for n in range(n_clients)))
    return list(itertools.chain.from_iterable(clients))


class ReferenceResponses:
    """The responses to requests that were sent one at a time.

    Parameters
    ----------
    url : str
        Address of an idle server.
    """

    def __init__(self, url: str) -> None:
        requests = [ImageRequest(path, n) for path in PATHS for n in range(N_PICTURES)]
        exchanges = [asyncio.run(send_all(url, [request]))[0] for request in requests]
        self._values: Mapping[tuple[str, int], Values] = {
            (one.request.path, one.request.picture): _values(one) for one in exchanges
        }

    def assert_correct(self, exchange: Exchange) -> None:
        """Compare a response with the reference for the same path and picture."""
        expected = self._values[exchange.request.path, exchange.request.picture]
        for actual, alone in zip(_values(exchange), expected, strict=True):
            # the bound that holds for an image in any batch, with room for its text
            np.testing.assert_allclose(actual, alone, rtol=0, atol=2e-5 * np.abs(alone).max())

    def assert_served(self, url: str) -> None:
        """Check that the server answers correctly and that its queue runs empty."""
        for path in PATHS:
            self.assert_correct(asyncio.run(send_all(url, [ImageRequest(path, 3)]))[0])
        wait_for_empty_queue(url)


def _values(exchange: Exchange) -> Values:
    response = exchange.response
    assert isinstance(response, httpx.Response), repr(response)
    assert exchange.status == 200, response.text
    assert response.headers["x-request-id"] == exchange.request.id
    answer = response.json()
    scores = sorted(answer["predictions"], key=lambda score: int(score["index"]))
    logits = np.array([score["logit"] for score in scores])
    if exchange.request.path == PATHS[0]:
        return (logits,)
    relevance = np.frombuffer(base64.b64decode(answer["relevance"]["data"]), "<f4")
    return logits, relevance


def metric(url: str, name: str) -> float:
    """Read the value of a metric from `/metrics`."""
    return find_metric(httpx.get(f"{url}/metrics", timeout=LIMIT_S).text, name)


def find_metric(text: str, name: str) -> float:
    """Find the value of a metric in the text of `/metrics`."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    assert found, name
    return float(found[1])


def wait_for_empty_queue(url: str) -> None:
    """Wait until no job is queued."""
    wait_until(lambda: metric(url, "lrpserve_queue_depth") == 0)


def wait_for_jobs(url: str, n: int, outcome: str = "done") -> None:
    """Wait until so many more jobs had an outcome."""
    name = f'lrpserve_jobs_total{{outcome="{outcome}"}}'
    before = metric(url, name)
    wait_until(lambda: metric(url, name) >= before + n)
