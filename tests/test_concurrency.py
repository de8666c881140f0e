"""Eight threads that explain and eight that predict: every answer equals the one given alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier
from typing import Any

import httpx
import numpy as np
import pytest

from tests.helpers.servers import RunningServer

N_THREADS = 8  # for each of the two operations
N_REQUESTS = 10  # by each thread

OPTIONS: tuple[dict[str, str], ...] = (
    {},
    {"composite": "epsilon_plus", "target": "cat"},
    {"composite": "none", "target": "0"},
    {"target": "ship", "contrast": "truck"},
    {"start": "logit", "zero_bias": "true"},
    {"composite": "epsilon_plus", "epsilon": "0.1", "target": "9"},
)


@dataclass(frozen=True)
class Ask:
    """One request."""

    path: str
    image: bytes
    options: dict[str, str]

    def send(self, client: httpx.Client) -> dict[str, Any]:
        """Send it and return the JSON of the answer, which may be a problem."""
        headers = {"Content-Type": "image/jpeg"}
        answer = client.post(self.path, content=self.image, params=self.options, headers=headers)
        fields: dict[str, Any] = answer.json()
        return fields


def explain_asks(images: Sequence[bytes]) -> Iterator[Ask]:
    shown = {"output": "relevance", "relevance_format": "list", "channels": "all", "top_k": "10"}
    for image, options in zip(images, itertools.cycle(OPTIONS), strict=False):
        yield Ask("/explain", image, shown | options)


def predict_asks(images: Sequence[bytes]) -> Iterator[Ask]:
    for image in images:
        yield Ask("/predict", image, {"top_k": "10"})


def ask_at_once(url: str, asks: Sequence[Ask]) -> list[dict[str, Any]]:
    """Send requests from as many threads as there are, each its share, all starting together."""
    n_threads = 2 * N_THREADS
    barrier = Barrier(n_threads)

    def send_share(first: int) -> list[tuple[int, dict[str, Any]]]:
        with httpx.Client(base_url=url, timeout=60) as client:
            barrier.wait()
            return [(n, asks[n].send(client)) for n in range(first, len(asks), n_threads)]

    with ThreadPoolExecutor(n_threads) as pool:
        found = [pair for share in pool.map(send_share, range(n_threads)) for pair in share]
    return [answer for _, answer in sorted(found, key=lambda pair: pair[0])]


def differences(alone: dict[str, Any], together: dict[str, Any]) -> list[str]:
    """What is not the same in two answers, to the rounding of a batch: classes exactly."""
    names = [name for name in alone if name not in ("relevance", "bound", "conservation")]
    found = [name for name in names if not is_same(alone[name], together.get(name))]
    if "relevance" in alone and not is_same_relevance(alone, together):
        found.append("relevance")
    return found


def is_same(one: Any, other: Any) -> bool:
    """Whether all names, labels and indices are equal, and all numbers to 1e-5."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= 1e-5 * max(1.0, abs(one))
    return bool(one == other)


def is_same_relevance(alone: dict[str, Any], together: dict[str, Any]) -> bool:
    if "relevance" not in together:
        return False
    one, other = (np.array(answer["relevance"]["data"]) for answer in (alone, together))
    return bool(np.abs(one - other).max() <= 1e-5 * np.abs(one).max())


@pytest.fixture(scope="module")
def asks(samples: list[Path]) -> list[Ask]:
    """Explaining and predicting threads alternate, each with images of its own."""
    images = [path.read_bytes() for path in samples]
    n = N_THREADS * N_REQUESTS
    pairs = zip(explain_asks(images[:n]), predict_asks(images[n : 2 * n]), strict=True)
    return [ask for pair in pairs for ask in pair]


def test_every_answer_under_load_equals_the_one_given_alone(
    server: RunningServer, asks: list[Ask]
) -> None:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        alone = [ask.send(client) for ask in asks]
    assert all("predictions" in answer for answer in alone)
    together = ask_at_once(server.url, asks)
    wrong = {
        f"{n}: {ask.path} {ask.options}": found
        for n, ask in enumerate(asks)
        if (found := differences(alone[n], together[n]))
    }
    assert not wrong, f"{len(wrong)} of {len(asks)} answers are wrong: {wrong}"


def test_after_the_load_the_answers_are_still_the_same(
    server: RunningServer, asks: list[Ask]
) -> None:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        before = [ask.send(client) for ask in asks[:4]]
        ask_at_once(server.url, asks[: 4 * N_THREADS])
        after = [ask.send(client) for ask in asks[:4]]
    assert before == after
