"""The service near and beyond its capacity: an open loop at 70% of it, and at ten times as much.

Run by `python -m benchmarks.overload`. In each round the capacity is measured anew, since the
machine does other work too.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median, quantiles
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.load import Payload, put_load
from benchmarks.open_loop import Offer, Offered, offer_load
from benchmarks.serving import Server, product, sample, started

USUAL, MUCH = 0.7, 10.0  # shares of the capacity that are offered
DEADLINE_S = 30.0  # the service's own by default
_CONNECTIONS = (16, 64)  # with one of these its rate is the highest
_USUAL_CONNECTIONS, _MUCH_CONNECTIONS = 256, 2000
console = Console()


class Overload:
    """Measures one running service.

    Parameters
    ----------
    server : Server
        It, ready.
    seconds : int
        Of each measurement, but for the overload.
    folder : Path
        For what `wrk` reads.
    """

    def __init__(self, server: Server, seconds: int, folder: Path) -> None:
        self._url, self._seconds, self._folder = f"{server.url}/explain", seconds, folder
        self._payload = Payload("image/png", sample())

    def capacity(self) -> float:
        """The highest rate of good answers."""
        return max(
            put_load(self._url, self._payload, n, self._seconds, self._folder).per_s
            for n in _CONNECTIONS
        )

    def tail(self, seed: int) -> float:
        """p99 / p50 of the times at 70% of the capacity."""
        offer = Offer(USUAL * self.capacity(), 2.0 * self._seconds, _USUAL_CONNECTIONS, seed)
        found = offer_load(self._url, self._payload, offer)
        return found.percentile_ms(0.99) / found.percentile_ms(0.5)

    def rush(self, seconds: float) -> tuple[float, float, Offered]:
        """Ten times the capacity: what is answered in time, and the goodput over the capacity."""
        before = self.capacity()
        offer = Offer(MUCH * before, seconds, _MUCH_CONNECTIONS)
        found = offer_load(self._url, self._payload, offer)
        capacity = (before + self.capacity()) / 2
        return found.share((200, 429), DEADLINE_S), found.good_per_s() / capacity, found


def statuses(found: Offered) -> dict[int, int]:
    """How many answers there were of each status; 0 is none."""
    every = [one.status for one in found.answers]
    return {status: every.count(status) for status in sorted(set(every))}


def main(
    rounds: Annotated[int, typer.Option(help="How often the times are measured")] = 5,
    seconds: Annotated[int, typer.Option(help="Of each measurement")] = 5,
    rush_s: Annotated[float, typer.Option(help="Of the overload")] = 30.0,
    workers: Annotated[int, typer.Option(help="Worker processes of the service")] = 1,
) -> None:
    """Measure the times near the capacity, and what happens beyond it."""
    table = Table("what", "goal", f"median and quartiles (n={rounds})", box=None)
    with (
        started(*product("--workers", str(workers))) as server,
        tempfile.TemporaryDirectory() as folder,
    ):
        overload = Overload(server, seconds, Path(folder))
        tails = [overload.tail(seed) for seed in range(rounds)]
        in_time, goodput, found = overload.rush(rush_s)
    low, _, high = quantiles(tails, n=4, method="inclusive") if rounds > 1 else tails * 3
    table.add_row(
        f"p99 / p50 at {USUAL:.0%} of the highest rate",
        "<= 3",
        f"{median(tails):.2f} ({low:.2f} to {high:.2f})",
    )
    name = f"{MUCH:g} times the capacity for {rush_s:g} s"
    table.add_row(f"{name}: 200 or 429 in time", "100%", f"{in_time:.2%} (n=1)")
    table.add_row("  goodput / capacity", ">= 0.9", f"{goodput:.2f} (n=1)")
    console.print(table)
    console.print(f"sent {found.sent_per_s:.0f}/s; answers by status: {statuses(found)}")


if __name__ == "__main__":
    typer.run(main)
