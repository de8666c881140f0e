"""The memory of large requests is given back when they are over."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from tests.helpers.conditions import wait_until
from tests.helpers.connections import head, plain
from tests.helpers.probing import memory_bytes
from tests.helpers.servers import RunningServer, running_server

pytestmark = pytest.mark.alone

N_CLIENTS, BODY_BYTES, KEPT_BYTES = 100, 9_500_000, 80_000_000


async def send_bodies(server: RunningServer) -> None:
    """Send more bodies at once than the budget has room for, and leave when all are sent."""

    async def send(all_are_sent: asyncio.Barrier) -> None:
        async with plain(server.url) as connection:
            with suppress(OSError):  # one that found no room is refused, and closed
                await connection.send(head("/predict", BODY_BYTES) + bytes(BODY_BYTES - 1))
            await all_are_sent.wait()

    all_are_sent = asyncio.Barrier(N_CLIENTS)
    await asyncio.gather(*(send(all_are_sent) for _ in range(N_CLIENTS)))


def test_the_memory_of_a_burst_is_given_back(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        before = memory_bytes(server)
        for _ in range(3):
            asyncio.run(send_bodies(server))
        assert memory_bytes(server) > before + KEPT_BYTES
        wait_until(lambda: memory_bytes(server) < before + KEPT_BYTES)
