"""With no variable set the service is about as fast as with the best setting by hand."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from statistics import median

import pytest

from benchmarks.load import put_load
from benchmarks.payloads import raw
from benchmarks.servers import Server, drain, product, started
from tests.helpers.tools import find_tool

pytestmark = pytest.mark.alone
VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
SETTINGS: tuple[dict[str, str], ...] = (
    {},
    {"OMP_NUM_THREADS": "1"},
    {"OMP_WAIT_POLICY": "passive"},
)  # the default first
N_TURNS, TURN_S = 3, 2


def start(stack: ExitStack, variables: dict[str, str]) -> Server:
    """Start a server with these variables only, paused."""
    with pytest.MonkeyPatch.context() as patch:
        for name in VARIABLES:
            patch.delenv(name, raising=False)
        for name, value in variables.items():
            patch.setenv(name, value)
        server = stack.enter_context(started(*product(1)))
    server.pause()
    return server


def rate(server: Server, connections: int, folder: Path) -> float:
    """Responses per second in a turn."""
    url, payload = f"{server.url}/explain", raw()
    with server.turn():
        load = put_load(url, payload, connections, TURN_S, folder)
        drain(url, payload)
    assert load.n_bad == 0
    return load.per_s


@pytest.mark.parametrize("connections", [4, 16])
def test_the_default_reaches_at_least_half_of_the_best_setting(
    connections: int, tmp_path: Path
) -> None:
    find_tool("wrk")
    with ExitStack() as stack:
        servers = [start(stack, variables) for variables in SETTINGS]
        turns = [
            [rate(server, connections, tmp_path) for server in servers] for _ in range(N_TURNS)
        ]
    default, *others = (median(rates) for rates in zip(*turns, strict=True))
    assert default >= max(others) / 2
