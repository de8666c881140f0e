"""The time that Ray Serve adds to a request: one replica behind its proxy beside one process.

Run by `python -m benchmarks.ray_serve`. Both compute with one thread. In each round single requests
go to both by turns, so that what else the machine does reaches both; then each has sixteen
connections while the other is idle.
"""

from __future__ import annotations

import http.client
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.load import put_load
from benchmarks.payloads import Payload, raw
from benchmarks.servers import Server, lrpserve, started

PLAIN, RAY = "one process", "Ray Serve"
COMMANDS = {
    PLAIN: lrpserve("serve", "--device", "cpu", "--port"),
    RAY: lrpserve("ray", "--num-cpus", "1", "--port"),
}
PATHS = ("/predict", "/explain")
_CONNECTIONS = 16
console = Console()


class Connection:
    """A connection that is kept alive."""

    def __init__(self, server: Server, path: str, payload: Payload) -> None:
        address = urlsplit(server.url).netloc
        self._path, self._payload = path, payload
        self._connection = http.client.HTTPConnection(address, timeout=60)

    def time_ms(self) -> float:
        """Send a request, and return the milliseconds until its response is read."""
        began = time.perf_counter()
        headers = {"Content-Type": self._payload.content_type}
        self._connection.request("POST", self._path, self._payload.body, headers)
        response = self._connection.getresponse()
        response.read()
        if response.status != 200:
            raise RuntimeError(f"{self._path} answered {response.status}")
        return (time.perf_counter() - began) * 1e3


def latencies_ms(connections: Sequence[Connection], n: int) -> list[float]:
    """Medians of `n` requests on each connection, sent by turns."""
    times = [[connection.time_ms() for connection in connections] for _ in range(n)]
    return [median(column) for column in zip(*times, strict=True)]


def measure(servers: Sequence[Server], rounds: int, n: int, seconds: int) -> Table:
    """Measure each path; a row has the medians of the rounds, with the least and the most."""
    payload = raw()
    table = Table("path", "what", PLAIN, RAY, "difference or ratio")
    with tempfile.TemporaryDirectory() as folder:
        for path in PATHS:
            connections = [Connection(server, path, payload) for server in servers]
            latencies_ms(connections, n)  # warm
            times = [latencies_ms(connections, n) for _ in range(rounds)]
            rates = [
                [
                    put_load(f"{server.url}{path}", payload, _CONNECTIONS, seconds, Path(folder))
                    for server in servers
                ]
                for _ in range(rounds)
            ]
            per_s = [[load.per_s for load in loads] for loads in rates]
            table.add_row(path, "ms alone", *_cells(times), _spread([b - a for a, b in times]))
            table.add_row(path, "requests/s", *_cells(per_s), _spread([b / a for a, b in per_s]))
    return table


def _cells(rows: Sequence[Sequence[float]]) -> list[str]:
    return [_spread(column) for column in zip(*rows, strict=True)]


def _spread(values: Sequence[float]) -> str:
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main(
    rounds: Annotated[int, typer.Option(help="Rounds")] = 5,
    n: Annotated[int, typer.Option(help="Requests of a round, of each")] = 100,
    seconds: Annotated[int, typer.Option(help="Seconds of load on each")] = 3,
) -> None:
    """Print a table of both, and of what Ray adds."""
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["LRPSERVE_LOG_LEVEL"] = "warning"
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    with started(*COMMANDS[PLAIN]) as plain, started(*COMMANDS[RAY]) as on_ray:
        console.print(measure((plain, on_ray), rounds, n, seconds))
    console.print(f"medians of {rounds} rounds of {n} requests, or of {seconds} s, of each")


if __name__ == "__main__":
    typer.run(main)
