"""Concurrent requests with different epsilon share a batch, and each gets its own answer."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.helpers.conditions import LIMIT_S, wait_until
from tests.helpers.gates import Gates, gated
from tests.helpers.requests import metric
from tests.helpers.servers import RunningServer

VALUES = [1e-9, 1e-6, 1e-3, 0.01, 0.1, 1.0, 10.0, 1e3]


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningServer, Gates]]:
    with gated(tmp_path_factory.mktemp("mixed"), "load", "run") as pair:
        yield pair


def explain(server: RunningServer, cat: Path, name: str, value: float) -> dict[str, object]:
    response = httpx.post(
        f"{server.url}/explain",
        files={"image": cat.read_bytes()},
        data={name: str(value), "target": "cat", "output": "relevance", "relevance_format": "list"},
        timeout=LIMIT_S,
    )
    assert response.status_code == 200, response.text
    answer: dict[str, object] = response.json()
    return answer


def relevance_of(answer: dict[str, object]) -> np.ndarray:
    return np.array(answer["relevance"]["data"])  # type: ignore[index]


@pytest.mark.parametrize("name", ["epsilon", "stabilizer"])
def test_8_requests_of_8_values_share_a_batch_and_get_what_each_gets_alone(
    serving: tuple[RunningServer, Gates], cat: Path, name: str
) -> None:
    server, gates = serving
    alone = [explain(server, cat, name, value) for value in VALUES]
    gates.close("run", "running")
    with ThreadPoolExecutor(len(VALUES) + 1) as pool:
        first = pool.submit(explain, server, cat, name, 0.5)
        gates.wait_until_running()
        before = metric(server.url, "lrpserve_batch_size_count")
        others = [pool.submit(explain, server, cat, name, value) for value in VALUES]
        wait_until(lambda: metric(server.url, "lrpserve_queue_depth") == len(VALUES))
        gates.open("run")
        together = [other.result() for other in others]
        first.result()
    assert metric(server.url, "lrpserve_batch_size_count") - before == 2  # the first, and the 8
    for one, other, value in zip(together, alone, VALUES, strict=True):
        assert one["method"][name] == value  # type: ignore[index]
        limit = 1e-5 * np.abs(relevance_of(other)).max()
        np.testing.assert_allclose(relevance_of(one), relevance_of(other), rtol=0, atol=limit)
