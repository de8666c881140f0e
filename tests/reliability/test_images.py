"""Images that cost far more than they weigh: bounded in memory and time, and never in vain."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.conftest import SAMPLES
from tests.helpers import hostile_images
from tests.helpers.conditions import LIMIT_S, wait_until
from tests.helpers.connections import head
from tests.helpers.processes import descendants, memory_bytes, watched_memory
from tests.helpers.servers import COMMAND, RunningServer, running_server

pytestmark = pytest.mark.alone

PHOTO = Path(SAMPLES / "cat" / "0000.jpg").read_bytes()
LARGE = hostile_images.black_png(6000, 5000)  # 30 megapixels
SETTINGS = {"LRPSERVE_DECODE_PIXELS": "90000000"}  # three of them
IMAGE_BYTES = 30_000_000 * 24  # more than a process may take for one
HOSTILE = {
    "GIF with a huge screen": (hostile_images.gif_with_huge_screen(), 413),
    "JPEG of 1,000 scans": (hostile_images.jpeg_of_many_scans(1500, 1000), 413),
    "JPEG of 100,000 segments": (hostile_images.jpeg_of_many_segments(100_000), 413),
    "JPEG of 9 MB between its segments": (hostile_images.jpeg_of_many_fill_bytes(9_000_000), 413),
    "GIF of 4,500,000 sub-blocks": (hostile_images.gif_of_many_sub_blocks(4_500_000), 413),
    "PNG of 700,000 chunks": (hostile_images.png_of_many_chunks(700_000), 413),
    "PNG of 1 x 40,000,000 pixels": (hostile_images.black_png(1, 40_000_000), 413),
    "TIFF of 400 tags of 2 MB": (hostile_images.tiff_whose_tags_overlap(400, 2 << 20), 400),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("images"), SETTINGS) as running:
        yield running


def post(server: RunningServer, image: bytes) -> httpx.Response:
    headers = {"Content-Type": "image/png"}
    return httpx.post(f"{server.url}/predict", content=image, headers=headers, timeout=LIMIT_S)


def assert_served(server: RunningServer) -> None:
    assert post(server, PHOTO).json()["predictions"][0]["label"] == "cat"


def test_many_large_images_are_decoded_within_a_budget(server: RunningServer) -> None:
    before = memory_bytes(server.process.pid)
    with watched_memory(server.process.pid) as peak, ThreadPoolExecutor(8) as pool:
        sent_at = time.monotonic()
        calls = [pool.submit(post, server, LARGE) for _ in range(8)]
        waits = []
        while not all(call.done() for call in calls):
            asked_at = time.monotonic()
            httpx.get(f"{server.url}/healthz", timeout=LIMIT_S)
            waits.append(time.monotonic() - asked_at)
        total = time.monotonic() - sent_at
    responses = [call.result() for call in calls]
    refused = [response for response in responses if response.status_code == 503]
    assert {response.status_code for response in responses} == {200, 503}
    assert len(refused) == 5
    assert all(int(response.headers["Retry-After"]) >= 1 for response in refused)
    assert all(response.json()["type"].endswith(":overloaded") for response in refused)
    assert max(waits) < total / 2
    assert peak.n_bytes - before < 2 * IMAGE_BYTES
    assert_served(server)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_before_they_are_decoded(
    server: RunningServer, name: str
) -> None:
    content, status = HOSTILE[name]
    before = memory_bytes(server.process.pid)
    with watched_memory(server.process.pid) as peak:
        response = post(server, content)
    assert response.status_code == status, response.text
    assert peak.n_bytes - before < 300 << 20
    assert_served(server)


def test_a_file_cannot_fill_the_log(server: RunningServer) -> None:
    before = len(server.read_output())
    assert post(server, hostile_images.jpeg_of_many_warnings(4000)).status_code == 200
    assert_served(server)
    assert "Warning" not in server.read_output()[before:]


def test_uploads_that_hang_up_leave_nothing_at_work(server: RunningServer) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    before = memory_bytes(server.process.pid)
    idle = set(descendants(server.process.pid))
    with watched_memory(server.process.pid) as peak:
        for _ in range(20):
            with socket.create_connection((host, int(port))) as connection:
                connection.sendall(head("/predict", len(LARGE)) + LARGE)
        wait_until(lambda: set(descendants(server.process.pid)) <= idle)
    assert peak.n_bytes - before < 2 * IMAGE_BYTES
    assert_served(server)


def test_an_idle_process_that_was_killed_fails_no_request(server: RunningServer) -> None:
    assert post(server, LARGE).status_code == 200
    for process in descendants(server.process.pid):
        os.kill(process, signal.SIGKILL)
    wait_until(lambda: descendants(server.process.pid) == [])
    assert post(server, LARGE).status_code == 200


def test_a_process_that_cannot_be_started_is_a_503(tmp_path: Path) -> None:
    python = tmp_path / "python"
    command = (sys.executable, "-c", f"import sys; sys.executable = {str(python)!r}; {COMMAND[2]}")
    with running_server(tmp_path, command=(*command, *COMMAND[3:])) as server:
        refused = post(server, LARGE)
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) >= 1
        assert "Traceback" not in server.read_output()
        assert_served(server)
        python.symlink_to(sys.executable)
        assert post(server, LARGE).status_code == 200


def test_a_decode_is_killed_at_the_deadline_and_with_the_service(tmp_path: Path) -> None:
    with running_server(tmp_path, {"LRPSERVE_DEADLINE_S": "0.3"}) as server:
        assert post(server, LARGE).status_code == 504
        wait_until(lambda: descendants(server.process.pid) == [])
        assert post(server, hostile_images.black_png(200, 200)).status_code in (200, 504)
        assert server.stop() == 0


def test_processes_end_with_a_service_that_is_killed(tmp_path: Path) -> None:
    with running_server(tmp_path) as server, ThreadPoolExecutor(1) as pool:
        call = pool.submit(post, server, LARGE)
        wait_until(lambda: descendants(server.process.pid))
        processes = descendants(server.process.pid)
        server.process.kill()
        server.process.wait(LIMIT_S)
        assert isinstance(call.exception(), httpx.TransportError)
        wait_until(lambda: not any(Path(f"/proc/{pid}/fd/0").exists() for pid in processes))
