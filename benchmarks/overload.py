"""The service near and beyond its capacity: an open loop at 70% of it, and at ten times of it.

Run by `python -m benchmarks.overload`. The capacity is measured anew in each round, since the
machine does other work too.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from statistics import median, quantiles
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.load import put_load
from benchmarks.open_loop import LoadResult, OfferedLoad, offer_load
from benchmarks.payloads import raw
from benchmarks.servers import Server, product, started

NORMAL, OVERLOAD = 0.7, 10.0  # shares of the capacity that are offered
DEADLINE_S = 30.0  # the service's own by default
_CONNECTIONS = (16, 64)  # with one of these its throughput is the highest
_NORMAL_CONNECTIONS, _OVERLOAD_CONNECTIONS = 256, 2000
console = Console()


class Overload:
    """Measures one running service; `seconds` for each load, `folder` for wrk's files."""

    def __init__(self, server: Server, seconds: int, folder: Path) -> None:
        self._url, self._seconds, self._folder = f"{server.url}/explain", seconds, folder
        self._payload = raw()

    def capacity(self) -> float:
        """The highest throughput, in good responses per second."""
        return max(
            put_load(self._url, self._payload, n, self._seconds, self._folder).per_s
            for n in _CONNECTIONS
        )

    def tail(self, seed: int) -> float:
        """p99 / p50 of the latency at a normal load."""
        per_s = NORMAL * self.capacity()
        load = OfferedLoad(per_s, 2.0 * self._seconds, _NORMAL_CONNECTIONS, seed)
        result = offer_load(self._url, self._payload, load)
        return result.percentile_ms(0.99) / result.percentile_ms(0.5)

    def overload(self, seconds: float) -> tuple[LoadResult, float]:
        """The result of ten times the capacity, and its goodput as a share of the capacity."""
        before = self.capacity()
        load = OfferedLoad(OVERLOAD * before, seconds, _OVERLOAD_CONNECTIONS)
        result = offer_load(self._url, self._payload, load)
        capacity = (before + self.capacity()) / 2
        return result, result.goodput_per_s() / capacity


def main(
    rounds: Annotated[int, typer.Option(help="How often the latency is measured")] = 5,
    seconds: Annotated[int, typer.Option(help="Length of each measurement")] = 5,
    overload_s: Annotated[float, typer.Option(help="Length of the overload")] = 30.0,
    workers: Annotated[int, typer.Option(help="Worker processes of the service")] = 1,
) -> None:
    """Measure the latency near the capacity, and what happens beyond it."""
    with started(*product(workers)) as server, tempfile.TemporaryDirectory() as folder:
        measured = Overload(server, seconds, Path(folder))
        tails = [measured.tail(seed) for seed in range(rounds)]
        result, goodput = measured.overload(overload_s)
    low, _, high = quantiles(tails, n=4, method="inclusive") if rounds > 1 else tails * 3
    in_time = result.share((200, 429), DEADLINE_S)
    statuses = dict(sorted(Counter(outcome.status for outcome in result.outcomes).items()))
    table = Table("what", "goal", f"median and quartiles (n={rounds})", box=None)
    spread = f"{median(tails):.2f} ({low:.2f} to {high:.2f})"
    table.add_row(f"p99 / p50 at {NORMAL:.0%} of the capacity", "<= 3", spread)
    name = f"{OVERLOAD:g} times the capacity for {overload_s:g} s"
    table.add_row(f"{name}: 200 or 429 in time", "100%", f"{in_time:.2%} (n=1)")
    table.add_row("  goodput / capacity", ">= 0.9", f"{goodput:.2f} (n=1)")
    console.print(table)
    console.print(f"sent {result.sent_per_s:.0f}/s; responses by status: {statuses}; 0: none")


if __name__ == "__main__":
    typer.run(main)
