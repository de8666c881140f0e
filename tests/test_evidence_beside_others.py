"""Requests for evidence and others at once: each response is the one that it has alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.helpers.conditions import wait_until
from tests.helpers.requests import metric, wait_for_empty_queue
from tests.helpers.servers import RunningServer

JPEG = {"Content-Type": "image/jpeg"}
CURVES = ("most_relevant_first", "least_relevant_first")
CANCELLED = 'lrpserve_jobs_total{outcome="cancelled"}'


def explain(url: str, image: bytes, **options: str) -> dict[str, Any]:
    response = httpx.post(f"{url}/explain", content=image, params=options, headers=JPEG, timeout=60)
    answer: dict[str, Any] = response.raise_for_status().json()
    return answer


def numbers(answer: dict[str, Any]) -> np.ndarray:
    """The curves of the evidence, or the relevance."""
    if "evidence" not in answer:
        return np.ravel(answer["relevance"]["data"])
    deletion, stability = answer["evidence"]["deletion"], answer["evidence"]["stability"]
    curves = [deletion[name] for name in CURVES] + [deletion["random"]["mean"]]
    return np.array([*np.ravel(curves), stability["mean"]])


def test_each_has_what_it_has_alone(server: RunningServer, samples: list[Path]) -> None:
    images = [path.read_bytes() for path in samples[::20]]
    plain = {"output": "relevance", "relevance_format": "list"}
    asked = [(image, {"output": "evidence"}) for image in images[:5]]
    asked += [(image, plain) for image in images for _ in range(3)]
    alone = [explain(server.url, image, **options) for image, options in asked]
    with ThreadPoolExecutor(len(asked)) as pool:
        together = list(pool.map(lambda one: explain(server.url, one[0], **one[1]), asked))
    for one, other in zip(alone, together, strict=True):
        limit = 1e-5 * np.abs(numbers(one)).max()
        np.testing.assert_allclose(numbers(other), numbers(one), rtol=0, atol=limit)


def test_it_ends_where_its_client_leaves(server: RunningServer, cat: Path) -> None:
    before = metric(server.url, CANCELLED)
    long = {"output": "evidence", "attributor": "smooth_grad", "n_samples": "100"}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{server.url}/explain",
            content=cat.read_bytes(),
            params=long,
            headers=JPEG,
            timeout=httpx.Timeout(60, read=0.3),
        )
    wait_until(lambda: metric(server.url, CANCELLED) == before + 1)
    wait_for_empty_queue(server.url)
    assert explain(server.url, cat.read_bytes())["target"]["label"] == "cat"
