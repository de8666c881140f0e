"""The service beside its peers: throughput and latency, as ratios measured in turns.

Run by `make serving`. All servers are started at once, but all except one are stopped at any
time: each has the machine for itself in its turn.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.load import Load, put_load
from benchmarks.payloads import Payload, as_json, multipart, raw
from benchmarks.servers import ROOT, Server, drain, peer, product, started

Measure = Callable[[], float]
console = Console()


@dataclass
class Row:
    """A ratio of two rates or two times that are measured in turns, and its goal."""

    name: str
    goal: float | None
    numerator: Measure
    denominator: Measure

    def measure(self, n: int) -> list[tuple[float, float]]:
        """Measure both n times."""
        return [(self.numerator(), self.denominator()) for _ in range(n)]


class Comparison:
    """The servers, and the load that each gets in its turns.

    Parameters
    ----------
    ours, naive, threads, lit : Server
        The service and its peers, paused.
    seconds : int
        The length of a turn.
    folder : Path
        For the files that `wrk` reads.
    """

    def __init__(
        self, ours: Server, naive: Server, threads: Server, lit: Server, seconds: int, folder: Path
    ) -> None:
        self._ours, self._naive, self._threads, self._lit = ours, naive, threads, lit
        self._seconds, self._folder = seconds, folder

    def rows(self) -> list[Row]:
        """What is compared; a goal is the least that the ratio has to be."""
        plain, json = raw(), as_json()
        form = multipart(output="heatmap,relevance")
        listed = multipart(output="heatmap,relevance", relevance_format="list")
        ours, naive, rate = self._ours, self._naive, self._rate
        at_16, at_64 = rate(ours, plain, 16), rate(ours, plain, 64)
        p50_ms = self._p50_ms(ours), self._p50_ms(naive)
        return [
            Row("16 connections, product / naive", 10, at_16, rate(naive, plain, 16)),
            Row("the same with equal payloads", 7, rate(ours, listed, 16), rate(naive, form, 16)),
            Row("1 connection, p50, naive / product", 6, p50_ms[1], p50_ms[0]),
            Row("16 connections, product / threads", None, at_16, rate(self._threads, plain, 16)),
            Row("16 connections, product / LitServe", 2, at_16, rate(self._lit, json, 16)),
            Row("64 connections / the engine offline", 0.85, at_64, self._offline_rate),
        ]

    def warm_up(self) -> None:
        """Give the service a turn that is not measured."""
        self._load(self._ours, raw(), 64)

    def _rate(self, server: Server, payload: Payload, connections: int) -> Measure:
        return lambda: self._load(server, payload, connections).per_s

    def _p50_ms(self, server: Server) -> Measure:
        return lambda: self._load(server, raw(), 1).p50_ms

    def _load(self, server: Server, payload: Payload, connections: int) -> Load:
        url = f"{server.url}/explain"
        with server.turn():
            load = put_load(url, payload, connections, self._seconds, self._folder)
            drain(url, payload)
        if load.n_bad:
            raise RuntimeError(f"{load.n_bad} requests failed")
        return load

    def _offline_rate(self) -> float:
        """Images per second of the engine alone at its best batch size, in its own process."""
        code = "import sys; from benchmarks.offline import main; main(float(sys.argv[1]))"
        done = subprocess.run(  # noqa: S603  our own
            [sys.executable, "-c", code, str(self._seconds)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        return float(done.stdout)


@contextmanager
def comparison(workers: int, seconds: int) -> Iterator[Comparison]:
    """Start the service and its peers, and pause them."""
    commands = (product(workers), peer("naive"), peer("threads"), peer("lit"))
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:

        def start(command: Sequence[str]) -> Server:
            server = stack.enter_context(started(*command))
            server.pause()  # so that it does not slow down the start of the next one
            return server

        ours, naive, threads, lit = (start(command) for command in commands)
        yield Comparison(ours, naive, threads, lit, seconds, Path(folder))


def spread(values: Sequence[float]) -> str:
    """Median and quartiles."""
    if len(values) < 2:
        return f"{values[0]:.2f}"
    low, _, high = quantiles(values, n=4, method="inclusive")
    return f"{median(values):.2f} ({low:.2f} to {high:.2f})"


def start_s(workers: int) -> float:
    """Seconds from the start of the service until it is ready."""
    with started(*product(workers)) as server:
        return server.ready_s


def describe_machine() -> str:
    """The machine and the versions that were measured."""
    names = ("torch", "zennit", "litserve")
    return ", ".join(
        [
            platform.processor() or platform.machine(),
            f"{os.cpu_count()} cores",
            *(f"{name} {version(name)}" for name in names),
            f"Python {platform.python_version()}",
        ]
    )


def main(
    rounds: Annotated[int, typer.Option(help="How often each ratio is measured")] = 5,
    seconds: Annotated[int, typer.Option(help="Length of a turn")] = 5,
    workers: Annotated[int, typer.Option(help="Worker processes of the service")] = 1,
) -> None:
    """Measure the service beside its peers."""
    console.print(
        f"{describe_machine()}; {rounds} rounds of {seconds} s; {workers} worker(s) of the service"
    )
    table = Table("what", "goal", f"median and quartiles (n={rounds})", "of", box=None)
    with comparison(workers, seconds) as compared:
        compared.warm_up()
        for row in compared.rows():
            pairs = row.measure(rounds)
            numerator, denominator = (median(side) for side in zip(*pairs, strict=True))
            ratios = spread([one / other for one, other in pairs])
            medians = f"{numerator:.1f} / {denominator:.1f}"
            table.add_row(row.name, str(row.goal or "-"), ratios, medians)
    table.add_row("start to ready, s", "6", spread([start_s(workers) for _ in range(rounds)]), "")
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
