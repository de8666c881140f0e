"""The service beside its peers: requests per second, as ratios of one run.

Run by `make serving`. All servers run at once, but only one of them at a time is not stopped
(SIGSTOP): so they take turns, and each has the machine for itself.
"""

from __future__ import annotations

import base64
import io
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from typing import Annotated

import typer
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.load import Load, Payload, put_load

ROOT = Path(__file__).parent.parent
START_LIMIT_S = 120.0
DRAIN_S = 5.0  # as long as the work of 16 requests takes anybody, several times
console = Console()


@dataclass(frozen=True)
class Server:
    """A server that has started, and is stopped but for its turns."""

    url: str
    process: subprocess.Popen[bytes]
    ready_s: float

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Let it run."""
        os.killpg(self.process.pid, signal.SIGCONT)
        try:
            yield
        finally:
            os.killpg(self.process.pid, signal.SIGSTOP)


@contextmanager
def started(*arguments: str) -> Iterator[Server]:
    """Start a Python program whose last argument is its port, and wait until it is ready."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # where Python is told to keep no bytecode, every start compiles torch anew
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603  programs of ours
        [sys.executable, *arguments, str(port)],
        cwd=ROOT,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        while not _is_ready(url):
            if process.poll() is not None or time.perf_counter() - began > START_LIMIT_S:
                raise RuntimeError(f"{arguments} did not start")
            time.sleep(0.05)
        yield Server(url, process, time.perf_counter() - began)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:  # noqa: S310  our own
            return bool(answer.status == 200)
    except OSError:
        return False


def drain(url: str, payload: Payload) -> None:
    """Wait until a server is done with what was under way when its load ended.

    Else it would begin its next turn with work for nobody: the one that gives up what nobody
    waits for would be measured beside others that are slowed down by it.
    """
    began = time.perf_counter()
    alone_s = 0.0
    while time.perf_counter() - began < DRAIN_S:
        asked = time.perf_counter()
        request = urllib.request.Request(  # noqa: S310  our own
            url, payload.body, {"Content-Type": payload.content_type}
        )
        with urllib.request.urlopen(request, timeout=START_LIMIT_S):  # noqa: S310  our own
            took_s = time.perf_counter() - asked
        if alone_s and took_s < 2 * alone_s:
            return
        alone_s = min(alone_s or took_s, took_s)


def product(*arguments: str) -> tuple[str, ...]:
    """The command of the service."""
    code = "import sys; from service.commands.__main__ import run; run()"
    return ("-c", code, "serve", *arguments, "--port")


def peer(name: str) -> tuple[str, ...]:
    """The command of a peer."""
    return ("-m", f"benchmarks.peers.{name}")


def sample() -> bytes:
    """A picture of 32 x 32 as PNG."""
    buffer = io.BytesIO()
    Image.open(ROOT / "docs" / "horse.jpg").convert("RGB").resize((32, 32)).save(buffer, "PNG")
    return buffer.getvalue()


def encoded(content: bytes) -> str:
    """Base64."""
    return base64.b64encode(content).decode()


def multipart(image: bytes, **options: str) -> Payload:
    """An image and options as a form."""
    edge = "a-boundary-of-the-benchmark"
    fields = "".join(
        f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in options.items()
    )
    head = (
        f'{fields}--{edge}\r\nContent-Disposition: form-data; name="image"; filename="i.png"\r\n'
        "Content-Type: image/png\r\n\r\n"
    )
    body = head.encode() + image + f"\r\n--{edge}--\r\n".encode()
    return Payload(f"multipart/form-data; boundary={edge}", body)


def offline_rate(seconds: float) -> float:
    """Images per second of the engine alone, with its best batch; in a process of its own."""
    code = "import sys; from benchmarks.offline import main; main(float(sys.argv[1]))"
    done = subprocess.run(  # noqa: S603  our own
        [sys.executable, "-c", code, str(seconds)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


Measure = Callable[[], float]


@dataclass
class Row:
    """A ratio of two rates, or of two times, that are measured in turns, and its goal."""

    name: str
    goal: float | None
    above: Measure
    below: Measure

    def measure(self, n: int) -> list[tuple[float, float]]:
        """Measure both n times."""
        return [(self.above(), self.below()) for _ in range(n)]


def spread(values: Sequence[float]) -> str:
    """Median and quartiles."""
    if len(values) < 2:
        return f"{values[0]:.2f}"
    low, _, high = quantiles(values, n=4, method="inclusive")
    return f"{median(values):.2f} ({low:.2f} to {high:.2f})"


def main(
    rounds: Annotated[int, typer.Option(help="How often each is measured")] = 5,
    seconds: Annotated[int, typer.Option(help="Of each turn")] = 5,
    workers: Annotated[int, typer.Option(help="Worker processes of the service")] = 1,
) -> None:
    """Measure the service beside its peers."""
    console.print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
        f"torch {version('torch')}, zennit {version('zennit')}, litserve {version('litserve')}, "
        f"Python {platform.python_version()}; {rounds} rounds of {seconds} s; "
        f"the service has {workers} worker(s)"
    )
    raw = Payload("image/png", sample())
    as_json = Payload("application/json", json.dumps({"image": encoded(sample())}).encode())
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:

        def start(*command: str) -> Server:
            server = stack.enter_context(started(*command))
            os.killpg(server.process.pid, signal.SIGSTOP)
            return server

        def load(server: Server, payload: Payload, connections: int) -> Load:
            with server.turn():
                url = f"{server.url}/explain"
                found = put_load(url, payload, connections, seconds, Path(folder))
                drain(url, payload)
            if found.n_bad:
                raise RuntimeError(f"{found.n_bad} requests were not answered well")
            return found

        ours = start(*product("--workers", str(workers)))
        naive, threads, lit = (start(*peer(name)) for name in ("naive", "threads", "lit"))
        options = {"output": "heatmap,relevance"}
        equal, listed = (
            multipart(sample(), **options),
            multipart(sample(), **options, relevance_format="list"),
        )
        rows = [
            Row(
                "16 connections, product / naive",
                10,
                lambda: load(ours, raw, 16).per_s,
                lambda: load(naive, raw, 16).per_s,
            ),
            Row(
                "the same with equal payloads",
                7,
                lambda: load(ours, listed, 16).per_s,
                lambda: load(naive, equal, 16).per_s,
            ),
            Row(
                "1 connection, p50, naive / product",
                6,
                lambda: load(naive, raw, 1).p50_ms,
                lambda: load(ours, raw, 1).p50_ms,
            ),
            Row(
                "16 connections, product / threads",
                None,
                lambda: load(ours, raw, 16).per_s,
                lambda: load(threads, raw, 16).per_s,
            ),
            Row(
                "16 connections, product / LitServe",
                2,
                lambda: load(ours, raw, 16).per_s,
                lambda: load(lit, as_json, 16).per_s,
            ),
            Row(
                "64 connections / the engine offline",
                0.85,
                lambda: load(ours, raw, 64).per_s,
                lambda: offline_rate(seconds),
            ),
        ]
        table = Table("what", "goal", f"median and quartiles (n={rounds})", "of", box=None)
        load(ours, raw, 64)  # what it does often it makes faster
        for row in rows:
            pairs = row.measure(rounds)
            above, below = (median(side) for side in zip(*pairs, strict=True))
            ratios = spread([one / other for one, other in pairs])
            table.add_row(row.name, str(row.goal or "-"), ratios, f"{above:.1f} / {below:.1f}")
    table.add_row("start to ready, s", "6", spread([start_s(workers) for _ in range(rounds)]), "")
    console.print(table)


def start_s(workers: int) -> float:
    """Seconds from the start of the service until it is ready."""
    with started(*product("--workers", str(workers))) as server:
        return server.ready_s


if __name__ == "__main__":
    typer.run(main)
