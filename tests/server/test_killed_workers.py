"""A worker process that is killed: what it had in hand fails fast, all else is answered."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import httpx
import pytest

from service.settings import PREFIX
from tests.helpers.conditions import wait_until
from tests.helpers.requests import (
    LIMIT_S,
    Exchange,
    ReferenceResponses,
    metric,
    send_until,
    wait_for_jobs,
)
from tests.helpers.servers import RunningServer, running_server

pytestmark = pytest.mark.alone

N_CLIENTS = 16
READY = "lrpserve_ready_workers"


@pytest.mark.slow
def test_a_worker_that_is_killed_under_load_is_replaced_and_only_its_requests_fail(
    tmp_path: Path,
) -> None:
    with running_server(tmp_path, {f"{PREFIX}WORKERS": "2"}) as server:
        reference = ReferenceResponses(server.url)
        before = workers(server)
        assert len(before) == metric(server.url, READY) == 2
        found, killed, killed_at = asyncio.run(kill_under_load(server))
        failed = [one for one in found if one.status is None]
        for one in found:
            if one.status is not None:
                reference.assert_correct(one)
        assert 0 < len(failed) <= N_CLIENTS
        for one in failed:
            assert not isinstance(one.response, httpx.TimeoutException)
            assert one.ended - killed_at < 5
        assert sum(one.began > killed_at for one in found) > N_CLIENTS
        wait_until(lambda: len(workers(server)) == 2)
        assert killed not in workers(server)
        wait_until(lambda: httpx.get(f"{server.url}/readyz").status_code == 200)
        wait_until(lambda: metric(server.url, READY) == 2)
        reference.assert_served(server.url)
        assert server.stop() == 0
        wait_until(lambda: not processes_of(server))  # some end just after it


async def kill_under_load(server: RunningServer) -> tuple[list[Exchange], int, float]:
    """Kill the worker with most connections, and send requests until it is replaced."""
    ends_at = time.monotonic() + LIMIT_S
    load = asyncio.create_task(
        send_until(server.url, N_CLIENTS, lambda: time.monotonic() > ends_at)
    )
    await asyncio.to_thread(wait_for_jobs, server.url, 4 * N_CLIENTS)
    pid = max(workers(server), key=n_open_files)
    killed_at = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    await asyncio.to_thread(
        wait_until, lambda: pid not in (now := workers(server)) and len(now) == 2
    )
    ends_at = time.monotonic() + 5
    return await load, pid, killed_at


def n_open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def workers(server: RunningServer) -> list[int]:
    """The worker processes of a server."""
    pid = server.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if "spawn_main" in command_of(int(child))]


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:  # it has just ended
        return ""


def processes_of(server: RunningServer) -> list[int]:
    """All processes that are left of a server: they share a session."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == server.process.pid and fields[0] != "Z":
            found.append(int(folder.name))
    return found
