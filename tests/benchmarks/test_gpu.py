"""`make gpu`: what can be shown of it without a GPU, and the CUDA graph where there is one."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from benchmarks.gpu import run_tests, serve
from benchmarks.in_turns import GRAPH_LIMIT, Timing, capture_graph, networks, time_networks
from benchmarks.servers import ROOT
from service.runtime.device import open_device

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
needs_no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")


@needs_no_gpu
def test_without_a_gpu_the_command_says_what_it_needs() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu"],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "needs a GPU" in done.stdout


@needs_no_gpu
def test_tests_that_are_all_skipped_do_not_count_as_passed() -> None:
    found = run_tests()
    assert found["counts"] == {"skipped": found["counts"]["skipped"]}
    assert not found["passed"]


def test_the_engine_is_timed_beside_zennit() -> None:
    first = next(time_networks(torch.device("cpu"), [1], ends_at_s=float("inf")))
    assert first.network == "minivgg"
    assert first.ratio is not None
    assert first.ratio > 1
    assert first.graph_ms is None
    assert "no CUDA graph" in first.note


def test_cases_beyond_the_time_limit_are_named_and_left_out() -> None:
    found = list(time_networks(torch.device("cpu"), [1, 8], ends_at_s=0.0))
    assert [(timing.network, timing.batch) for timing in found] == [
        (network, batch) for network in networks() for batch in (1, 8)
    ]
    assert found[0] == Timing("minivgg", 1, note="not run: out of time")


@pytest.mark.alone
def test_the_service_is_measured_under_load() -> None:
    found = serve("cpu", load_s=0.1)
    assert all(per_s > 0 for per_s in found["requests_per_s"].values())
    assert found["resident_bytes"] > 1 << 20
    assert next(iter(found["device_memory_bytes"].values())) > 1 << 20


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("batch", [1, 8])
def test_a_replayed_cuda_graph_equals_the_twin(batch: int) -> None:
    device = open_device("cuda")
    model, side = networks()["minivgg"]
    images = torch.randn(batch, 3, side, side, device=device)
    replay, apart, note = capture_graph(model, images, device)
    assert replay is not None, note
    assert apart is not None
    assert apart <= GRAPH_LIMIT
