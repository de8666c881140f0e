"""Processes that hang or die, disks that are full, output that nobody reads."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import numpy as np
import pytest

from service.settings import PREFIX
from tests.helpers.conditions import wait_until
from tests.helpers.gates import post
from tests.helpers.processes import worker_pids
from tests.helpers.requests import metric, png
from tests.helpers.servers import (
    COMMAND,
    START_LIMIT_S,
    assert_one_sentence,
    run_to_the_end,
    running_server,
)

pytestmark = pytest.mark.alone

TWO = {f"{PREFIX}WORKERS": "2"}
SCRIPT = (str(Path(sys.executable).with_name("lrpserve")), "serve", "--port", "0")
SHADOWS = ("pickle", "random", "torch", "socket", "typer")  # which the service imports
N_REQUESTS = 1_500  # whose lines are more than a pipe holds
HANGING = """
import time
from service.server.process import Server
from service.commands.__main__ import run
async def hang(self, counter):
    while True:
        time.sleep(0.01)
Server.on_tick = hang
run()
"""
DYING = """
import os, signal, sys
if "spawn_main" in " ".join(sys.orig_argv):
    os.kill(os.getpid(), signal.SIGKILL)
"""
FULL = "mount -t tmpfs -o size=64k none $d; head -c 1M /dev/zero >$d/full 2>/dev/null"
# those for temporary files, but for one that the program itself may lie on
DISKS = [disk for disk in ("/tmp", "/var/tmp", "/dev/shm") if disk not in sys.executable]
READ_ONLY = "mount -t tmpfs -o ro none $d"


def status(url: str) -> str:
    """The status that `/readyz` gives; none while no worker accepts connections."""
    try:
        return str(httpx.get(f"{url}/readyz", timeout=5).json()["status"])
    except httpx.TransportError:
        return ""


def test_a_stopped_worker_is_replaced_and_does_not_stop_the_end(tmp_path: Path, cat: Path) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    settings = TWO | {f"{PREFIX}HANG_S": "3", "TMPDIR": str(folder)}
    with running_server(tmp_path, settings) as server:
        stopped = worker_pids(server.process.pid)[0]
        os.kill(stopped, signal.SIGSTOP)
        wait_until(lambda: status(server.url) == "hung")
        wait_until(lambda: stopped not in worker_pids(server.process.pid))
        wait_until(lambda: status(server.url) == "ready")
        assert post(server, cat.read_bytes()).status_code == 200
        os.kill(worker_pids(server.process.pid)[0], signal.SIGSTOP)
        server.process.send_signal(signal.SIGHUP)
        assert server.process.wait(60) == 0  # the grace period, the deadline, and 5 s
        assert "has hung for" in server.read_output()
    assert list(folder.iterdir()) == []


def test_a_process_whose_event_loop_hangs_ends_after_a_signal(tmp_path: Path) -> None:
    command = (sys.executable, "-c", HANGING, *COMMAND[3:])
    output = tmp_path / "output"
    with (
        output.open("wb") as stream,
        started(command, stream.fileno(), {f"{PREFIX}HANG_S": "3"}) as process,
    ):
        wait_until(lambda: "startup complete" in output.read_text(encoding="utf-8"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 1
    assert "has not ended in time after a signal" in output.read_text(encoding="utf-8")


@pytest.mark.parametrize("mount", [FULL, READ_ONLY], ids=["full", "read-only"])
def test_two_workers_serve_without_a_disk(tmp_path: Path, mount: str) -> None:
    prepare = f'for d in {" ".join(DISKS)}; do {mount}; done; cd /proc; exec "$@"'
    command = ("unshare", "-rm", "sh", "-c", prepare, "sh", *COMMAND)
    nowhere = {"TMPDIR": DISKS[-1], "HOME": "/proc/none"}
    with running_server(tmp_path, TWO | nowhere, command) as server:
        image = png(np.random.default_rng(0).integers(0, 255, (900, 900, 3), dtype=np.uint8))
        assert len(image) > 1 << 20  # forms keep no more in memory by default
        assert post(server, image).status_code == 200
        assert metric(server.url, "lrpserve_queue_depth") == 0
        assert len(worker_pids(server.process.pid)) == 2
        assert server.stop() == 0
        assert "Traceback" not in server.read_output()


@contextmanager
def started(
    command: tuple[str, ...], stderr: int, settings: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process with this standard error, and kill it at the end."""
    process = subprocess.Popen(
        command, stderr=stderr, env={**os.environ, **settings}, start_new_session=True
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)
        if process.stderr:
            process.stderr.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.parametrize("kind", ["unread", "full", "closed"])
def test_a_log_that_cannot_be_written_stops_no_request(kind: str, cat: Path) -> None:
    port = free_port()
    command: tuple[str, ...] = (*COMMAND[:-1], str(port))
    if kind == "closed":
        command = ("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command)
    with (
        Path("/dev/full").open("wb") as full,
        started(command, full.fileno() if kind == "full" else subprocess.PIPE, {}) as process,
    ):
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: status(url) == "ready", START_LIMIT_S)
        with httpx.Client(base_url=url, timeout=10) as client:
            for _ in range(N_REQUESTS if kind == "unread" else 20):
                assert client.get("/models").status_code == 200
            files = {"image": cat.read_bytes()}
            assert client.post("/predict", files=files).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_modules_of_the_current_folder_are_not_imported(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in SHADOWS:
        code = f"open({str(tmp_path / 'imported')!r}, 'a').write({name!r})\n"
        (folder / f"{name}.py").write_text(code, encoding="utf-8")
    with running_server(tmp_path, TWO, SCRIPT, cwd=folder):
        assert not (tmp_path / "imported").exists()


def test_workers_that_die_at_their_start_end_the_service(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(DYING, encoding="utf-8")
    done = run_to_the_end(TWO | {"PYTHONPATH": str(tmp_path)})
    assert_one_sentence(done, "was killed by SIGKILL", "3 before it")


def test_a_limit_of_open_files_that_is_too_low_is_one_sentence() -> None:
    command = ("prlimit", "--nofile=16", *COMMAND, "--workers", "2")
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert_one_sentence(done, "Too many open files")


def test_a_limit_of_memory_that_is_too_low_is_one_sentence() -> None:
    command = ("prlimit", "--as=1000000000", *COMMAND)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert_one_sentence(done, "the model cannot be loaded", "`ulimit -a`")
