"""`lrpserve ray` with two replicas, on a Ray of its own."""

from __future__ import annotations

import os
import re
import shutil
import ssl
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers.conditions import wait_until
from tests.helpers.processes import descendants
from tests.helpers.servers import RunningServer, copy_bundle, running_server

LRPSERVE = (sys.executable, "-c", "from service.commands.__main__ import run; run()")
ONE_REPLICA = (*LRPSERVE, "ray", "--port", "0", "--num-cpus", "0.1")
COMMAND = (
    *ONE_REPLICA,
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

    @property
    def client_environment(self) -> dict[str, str]:
        """The environment of a process that connects to the cluster."""
        return {**os.environ, **self.environment, "RAY_ADDRESS": self.ray_address}

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


@contextmanager
def ray_folder() -> Iterator[Path]:
    """A folder for Ray: names of sockets may have 107 bytes, so one of pytest is too long."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def ray_settings(folder: Path) -> dict[str, str]:
    """The environment of a Ray in a folder."""
    return {**RAY_SETTINGS, "RAY_TMPDIR": str(folder), "LRPSERVE_DEVICE": "cpu"}


@contextmanager
def running_ray(
    folder: Path,
    settings: Mapping[str, str],
    command: tuple[str, ...],
    trust: ssl.SSLContext | None = None,
) -> Iterator[RunningServer]:
    """Start `lrpserve ray`, wait until it is ready, and stop it with all that it has started."""
    with running_server(folder, settings, command, trust=trust) as server:
        wait_until(lambda: "ready: " in server.read_output())
        started = descendants(server.process.pid)
        yield server
        assert server.stop() == 0
        wait_until(lambda: not any(map(command_line, started)))


@pytest.fixture(scope="package")
def ray_server() -> Iterator[RayServer]:
    """Ray with two replicas, or three under load."""
    with ray_folder() as folder:
        settings = {**ray_settings(folder), "LRPSERVE_QUEUE_SIZE": str(QUEUE_SIZE)}
        with running_ray(folder, settings, COMMAND) as server:
            yield RayServer(server, settings)


@pytest.fixture
def broken_bundle(tmp_path: Path) -> Path:
    """A bundle whose weights are not those that its card describes."""
    bundle = copy_bundle(tmp_path / "broken")
    weights = bundle / "model.safetensors"
    content = weights.read_bytes()
    weights.unlink()  # it may be a link to the shipped file
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    return bundle
