"""`lrpserve ray` with two replicas, on a Ray of its own."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers.conditions import wait_until
from tests.helpers.processes import descendants
from tests.helpers.servers import RunningServer, running_server

COMMAND = (
    sys.executable,
    *("-c", "from service.commands.__main__ import run; run()"),
    *("ray", "--port", "0", "--num-cpus", "0.1"),
    *("--min-replicas", "2", "--max-replicas", "3"),
    *("--target-ongoing-requests", "4", "--upscale-delay-s", "1"),
)
QUEUE_SIZE = 16
RAY_SETTINGS = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",  # each request has its line in the log
    "PYTHONDONTWRITEBYTECODE": "",  # with it each process of Ray compiles its modules: too slowly
    "RAY_SERVE_MAX_PER_REPLICA_RETRY_COUNT": "1",
}
_PROC = Path("/proc")


@dataclass(frozen=True)
class RayServer:
    """`lrpserve ray` that is ready, and the environment of its Ray."""

    server: RunningServer
    environment: dict[str, str]

    @property
    def url(self) -> str:
        """The address of Ray's proxy."""
        return self.server.url

    @property
    def ray_address(self) -> str:
        """The address of the Ray cluster."""
        found = re.search(r"on Ray at (\S+) listens", self.server.read_output())
        assert found
        return found[1]

    def replicas(self) -> set[int]:
        """The process ids of all replicas, also of those that are starting."""
        return {
            pid
            for pid in descendants(self.server.process.pid)
            if "ray::ServeReplica:lrpserve:lrpserve" in command_line(pid)
        }

    def answering_replicas(self) -> set[int]:
        """The process ids of the replicas that have answered a request, from their log."""
        pattern = r"ServeReplica:lrpserve:lrpserve pid=(\d+)\).* request_id="
        return {int(pid) for pid in re.findall(pattern, self.server.read_output())}

    def replica_of(self, request_id: str) -> int:
        """The process id of the replica that answered a request, from its log."""
        pattern = rf"ServeReplica:lrpserve:lrpserve pid=(\d+)\).* request_id={request_id} "
        wait_until(lambda: re.search(pattern, self.server.read_output()))
        found = re.search(pattern, self.server.read_output())
        assert found
        return int(found[1])


def command_line(pid: int) -> str:
    """The command line of a process; empty when it has ended."""
    try:
        return (_PROC / str(pid) / "cmdline").read_text(encoding="utf-8")
    except OSError:
        return ""


@pytest.fixture(scope="package")
def ray_server() -> Iterator[RayServer]:
    """Ray with two replicas, or three under load."""
    # names of sockets may have 107 bytes: a folder of pytest is too long
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    settings = {
        **RAY_SETTINGS,
        "RAY_TMPDIR": str(folder),
        "LRPSERVE_DEVICE": "cpu",
        "LRPSERVE_QUEUE_SIZE": str(QUEUE_SIZE),
    }
    try:
        with running_server(folder, settings, COMMAND) as server:
            wait_until(lambda: "ready: " in server.read_output())
            started = descendants(server.process.pid)
            yield RayServer(server, settings)
            assert server.stop() == 0
            wait_until(lambda: not any(map(command_line, started)))
    finally:
        shutil.rmtree(folder)
