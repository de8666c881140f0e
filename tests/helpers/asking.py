"""Many questions at once, each with an id of its own, and whether the answers are right."""

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

LIMIT_S = 60.0
PATHS = ("/predict", "/explain?output=relevance")
N_PICTURES = 32
_numbers = itertools.count()


def png(pixels: np.ndarray) -> bytes:
    """A picture as a file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


PICTURES = [
    png(np.random.default_rng(n).integers(0, 255, (32, 32, 3), dtype=np.uint8))
    for n in range(N_PICTURES)
]


@dataclass(frozen=True)
class Question:
    """A request that no other one is like."""

    path: str
    picture: int
    id: str = field(default_factory=lambda: f"question-{next(_numbers)}")

    @property
    def headers(self) -> dict[str, str]:
        """Of its request."""
        return {"Content-Type": "image/png", "X-Request-ID": self.id}

    @property
    def image(self) -> bytes:
        """Its picture's file."""
        return PICTURES[self.picture]


def questions(n: int, paths: Sequence[str] = PATHS) -> list[Question]:
    """Questions about all pictures in turn, of each kind as many."""
    pictures = len(PICTURES)
    return [Question(paths[(i // pictures + i) % len(paths)], i % pictures) for i in range(n)]


Answer = httpx.Response | httpx.TransportError
Values = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Asked:
    """A question, what became of it, and when."""

    question: Question
    answer: Answer
    began: float
    ended: float

    @property
    def status(self) -> int | None:
        """Of the answer; None where there is none."""
        return self.answer.status_code if isinstance(self.answer, httpx.Response) else None


async def ask(client: httpx.AsyncClient, question: Question) -> Asked:
    """Ask a question."""
    began = time.monotonic()
    answer: Answer
    try:
        answer = await client.post(question.path, content=question.image, headers=question.headers)
    except httpx.TransportError as error:
        answer = error
    return Asked(question, answer, began, time.monotonic())


async def ask_all(url: str, asked: Sequence[Question]) -> list[Asked]:
    """Ask at once, each on a connection of its own."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=LIMIT_S) as client:
        return await asyncio.gather(*(ask(client, question) for question in asked))


async def keep_asking(url: str, n_clients: int, is_over: Callable[[], bool]) -> list[Asked]:
    """Ask from several clients, one question after the other from each."""

    async def be_a_client(first: int) -> list[Asked]:
        found = []
        async with httpx.AsyncClient(base_url=url, timeout=LIMIT_S) as client:
            for n in itertools.count(first):
                found.append(await ask(client, Question(PATHS[n % 2], n % N_PICTURES)))
                if is_over():
                    return found
                if found[-1].status is None:
                    await asyncio.sleep(0.05)  # as a client would before it tries again
        return found

    clients = await asyncio.gather(*(be_a_client(5 * n) for n in range(n_clients)))
    return list(itertools.chain.from_iterable(clients))


class Alone:
    """The answers to questions that were asked alone.

    Parameters
    ----------
    url : str
        Of a server that is idle.
    """

    def __init__(self, url: str) -> None:
        asked = [Question(path, n) for path in PATHS for n in range(N_PICTURES)]
        found = [asyncio.run(ask_all(url, [question]))[0] for question in asked]
        self._values: Mapping[tuple[str, int], Values] = {
            (one.question.path, one.question.picture): _values(one) for one in found
        }

    def assert_right(self, asked: Asked) -> None:
        """Compare an answer with the one to the same question alone."""
        wanted = self._values[asked.question.path, asked.question.picture]
        for found, alone in zip(_values(asked), wanted, strict=True):
            # the bound that holds for an image in any batch, with room for its text
            np.testing.assert_allclose(found, alone, rtol=0, atol=2e-5 * np.abs(alone).max())

    def assert_served(self, url: str) -> None:
        """Nothing is left of a fault."""
        for path in PATHS:
            self.assert_right(asyncio.run(ask_all(url, [Question(path, 3)]))[0])
        wait_for_empty_queue(url)


def _values(asked: Asked) -> Values:
    assert isinstance(asked.answer, httpx.Response), repr(asked.answer)
    assert asked.status == 200, asked.answer.text
    assert asked.answer.headers["x-request-id"] == asked.question.id
    answer = asked.answer.json()
    scores = sorted(answer["predictions"], key=lambda score: int(score["index"]))
    logits = np.array([score["logit"] for score in scores])
    if asked.question.path == PATHS[0]:
        return (logits,)
    relevance = np.frombuffer(base64.b64decode(answer["relevance"]["data"]), "<f4")
    return logits, relevance


def metric(url: str, name: str) -> float:
    """A number that the server shows."""
    text = httpx.get(f"{url}/metrics", timeout=LIMIT_S).text
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    assert found, name
    return float(found[1])


def wait_for_empty_queue(url: str) -> None:
    """Wait until no job waits for the device."""
    limit = time.monotonic() + LIMIT_S
    while metric(url, "lrpserve_queue_depth"):
        assert time.monotonic() < limit, "jobs are left in the queue"
        time.sleep(0.05)
