"""A service that is ready has prepared what its default request needs."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import httpx
import numpy as np
import pytest
import torch

from service.lrp.explainer import Explainer
from service.methods import Method
from service.models.bundles import Bundle
from service.runtime.engine import Engine
from service.runtime.jobs import ExplainJob, PredictJob
from service.settings import DEFAULT_MODEL
from tests.helpers.servers import running_server

N_REQUESTS = 12


def test_nothing_is_prepared_for_default_requests_after_the_warm_up(
    shipped_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(shipped_bundle, torch.device("cpu"))
    engine.warm_up(max_batch_size=2)

    def refuse(self: Explainer, method: Method) -> None:
        raise AssertionError(f"{method} is prepared while a request waits")

    monkeypatch.setattr(Explainer, "_prepare", refuse)
    pixels = np.zeros((32, 32, 3), np.uint8)
    engine.run([ExplainJob(pixels, DEFAULT_MODEL, Method())] * 2)
    engine.run([PredictJob(pixels, DEFAULT_MODEL)])


@contextmanager
def uncollected() -> Iterator[None]:
    """Collect no garbage: here, that of waiting for the server takes 20 ms of a request."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.alone
@pytest.mark.parametrize("path", ["/explain", "/predict"])
def test_the_first_request_takes_at_most_three_times_as_long_as_the_tenth(
    path: str, cat: Path, tmp_path: Path
) -> None:
    with (
        running_server(tmp_path) as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
        uncollected(),
    ):
        client.get("/healthz")  # what is new to the client is not measured
        times_s = []
        for _ in range(N_REQUESTS):
            began = time.perf_counter()
            response = client.post(path, files={"image": cat.read_bytes()})
            times_s.append(time.perf_counter() - began)
            assert response.status_code == 200, response.text
    assert times_s[0] <= 3 * median(times_s[-5:])
