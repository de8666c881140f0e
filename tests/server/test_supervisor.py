"""Several worker processes behind one port: they start together, end together, count together."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from service.settings import PREFIX
from tests.helpers.conditions import wait_until
from tests.helpers.gates import post
from tests.helpers.requests import metric
from tests.helpers.servers import (
    COMMAND,
    RunningServer,
    assert_one_sentence,
    copy_bundle,
    run_to_the_end,
    running_server,
)

TWO = {f"{PREFIX}WORKERS": "2", "OMP_NUM_THREADS": "2"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("workers"), TWO) as started:
        yield started


def children(pid: int) -> list[int]:
    """The workers of a server, and what else it has started."""
    found = subprocess.run(
        ["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False
    ).stdout
    return [int(line) for line in found.split()]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_they_greet_once_when_all_are_ready(server: RunningServer) -> None:
    wait_until(lambda: "workers: 2" in server.read_output())
    printed = server.read_output()
    assert printed.count("ready: ") == 1
    assert httpx.get(f"{server.url}/readyz").json() == {"status": "ready"}


def test_the_threads_are_divided_among_them(server: RunningServer) -> None:
    assert "on cpu (1 threads)" in server.read_output()


def test_any_worker_answers_metrics_for_all(server: RunningServer, cat: Path) -> None:
    before = answers(server)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: post(server, cat.read_bytes()), range(40)))
    assert answers(server) - before == 40
    text = httpx.get(f"{server.url}/metrics").text
    assert 'lrpserve_device_memory_bytes{device="cpu' in text


def answers(server: RunningServer) -> int:
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    found = [line for line in lines if "lrpserve_requests_total" in line and "/predict" in line]
    return sum(int(float(line.split()[-1])) for line in found)


def test_a_signal_to_the_process_group_finishes_accepted_requests(
    tmp_path: Path, cat: Path
) -> None:
    counting = TWO | {f"{PREFIX}CACHE_BYTES": "1000000"}  # its lookups say what has arrived
    with running_server(tmp_path, counting) as server, ThreadPoolExecutor(16) as pool:
        wait_until(lambda: "workers: 2" in server.read_output())
        workers = children(server.process.pid)
        # of 256 passes each, so that they run when the signal comes
        url, data = f"{server.url}/explain", {"attributor": "occlusion", "composite": "none"}
        data |= {"window": "2", "stride": "2"}
        running = [
            pool.submit(httpx.post, url, files={"image": image}, data=data, timeout=60)
            for image in (cat.read_bytes() + bytes([n]) for n in range(4))
        ]
        wait_until(lambda: metric(server.url, 'lrpserve_cache_lookups_total{result="miss"}') == 4)
        assert not any(future.done() for future in running)
        os.killpg(server.process.pid, signal.SIGTERM)
        assert [future.result(60).status_code for future in running] == [200] * 4
        assert server.process.wait(60) == 0
        wait_until(lambda: not any(map(is_alive, workers)))


def test_workers_do_not_outlive_their_parent(tmp_path: Path) -> None:
    with running_server(tmp_path, TWO) as server:
        workers = children(server.process.pid)
        assert len(workers) >= 2
        server.process.kill()
        server.process.wait(30)
        wait_until(lambda: not any(map(is_alive, workers)))


def test_a_model_that_cannot_be_loaded_is_reported_once(tmp_path: Path) -> None:
    bundle = copy_bundle(tmp_path / "bundle")
    weights = bundle / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    done = run_to_the_end({f"{PREFIX}MODEL": str(bundle)} | TWO)
    assert_one_sentence(done, str(weights), "sha256")


def test_the_option_says_it_too(tmp_path: Path) -> None:
    with running_server(tmp_path, {}, (*COMMAND, "--workers", "2")) as server:
        wait_until(lambda: "workers: 2" in server.read_output())
