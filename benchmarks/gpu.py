"""Everything that needs a GPU, in one run of under 8 minutes: one table and a JSON file.

Run by `make gpu`, or from a bundle of `make gpu-bundle` on a machine without a network. It runs the
tests marked `gpu` and `lrpserve verify`, times the engine beside zennit, and puts load on the
service. Steps that would end too late are left out, and the table says so.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.in_turns import BATCH_SIZES, Timing, time_networks
from benchmarks.open_loop import OfferedLoad, offer_load
from benchmarks.payloads import raw
from benchmarks.servers import ROOT, Server, lrpserve, started
from service.errors import ServiceError
from service.runtime.device import describe_device, open_device

GPU_TESTS = ("tests/lrp/test_gpu.py", "tests/benchmarks/test_gpu.py")
CONNECTIONS = (1, 4, 16, 64, 256)
_STEP_S = 150.0  # no command may take longer
LOAD_S, _N_PROBES = 6.0, 64
_AT_ONCE = 1e6  # requests per second: all are due at once, so each connection is always busy
_COUNTS = re.compile(r"(\d+) (passed|failed|errors?|skipped)")
_MEMORY = re.compile(r'^lrpserve_device_memory_bytes\{device="([^"]*)"\} (\S+)$', re.MULTILINE)
console = Console()


def run_tests() -> dict[str, Any]:
    """Run the tests marked `gpu`; returns their counts, and the end of the output."""
    options = ["--import-mode=importlib", "-p", "no:cacheprovider", "-o", "addopts=", "-m", "gpu"]
    # other versions of torch warn of other things
    command = ["-m", "pytest", "-q", *options, "-o", "filterwarnings=default", *GPU_TESTS]
    done = _run(*command)
    lines = done.stdout.splitlines() or [done.stderr]
    counts = {name: int(n) for n, name in _COUNTS.findall(lines[-1])}
    has_passed = done.returncode == 0 and counts.get("passed", 0) > 0  # not if all were skipped
    return {"passed": has_passed, **_report(lines[-1], done), "counts": counts}


def verify(device: str) -> dict[str, Any]:
    """Run `lrpserve verify` on the device."""
    done = _run(*lrpserve("verify", "--device", device))
    n = done.stdout.count("passed")
    summary = f"{n} checks passed, exit status {done.returncode}"
    return {"passed": done.returncode == 0 and n > 0, **_report(summary, done)}


def serve(device: str, load_s: float = LOAD_S) -> dict[str, Any]:
    """Start the service, put load on it, and read its memory."""
    with started(*lrpserve("serve", "--device", device, "--port")) as server:
        rates = {
            connections: _closed_loop(server, connections, load_s) for connections in CONNECTIONS
        }
        return {
            "start_to_ready_s": server.ready_s,
            "latency_p50_ms": _latency_ms(server),
            "requests_per_s": rates,
            "device_memory_bytes": _device_memory(server),
            "resident_bytes": _resident_bytes(server.process.pid),
        }


def _closed_loop(server: Server, connections: int, load_s: float) -> float:
    """Good responses per second, with as many requests as last about `load_s`."""
    url = f"{server.url}/explain"
    per_s, n = 0.0, max(_N_PROBES, connections)
    for _ in range(2):
        load = OfferedLoad(_AT_ONCE, n / _AT_ONCE, connections)
        per_s = offer_load(url, raw(), load).goodput_per_s()
        n = max(n, int(per_s * load_s))
    return per_s


def _latency_ms(server: Server, n: int = 50) -> float:
    request = urllib.request.Request(  # noqa: S310  our own
        f"{server.url}/explain", raw().body, {"Content-Type": raw().content_type}
    )
    times = []
    for _ in range(n):
        began = time.perf_counter()
        with urllib.request.urlopen(request) as response:  # noqa: S310  our own
            response.read()
        times.append((time.perf_counter() - began) * 1e3)
    return median(times)


def _device_memory(server: Server) -> dict[str, float]:
    with urllib.request.urlopen(f"{server.url}/metrics") as response:  # noqa: S310  our own
        return {name: float(value) for name, value in _MEMORY.findall(response.read().decode())}


def _resident_bytes(pid: int) -> int:
    n_pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return n_pages * os.sysconf("SC_PAGE_SIZE")


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603  programs of ours
            [sys.executable, *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=_STEP_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(arguments, 124, "", f"took more than {_STEP_S:.0f} s")


def _report(summary: str, done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    return {"summary": summary, "output": (done.stdout + done.stderr)[-6000:]}


def machine(device: torch.device) -> dict[str, Any]:
    """The device and the versions that were measured."""
    names = ("torch", "torchvision", "zennit", "numpy")
    return {
        "device": describe_device(device),
        "cuda": torch.version.cuda,
        "driver_and_memory": _nvidia_smi(),
        "cpus": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        **{name: version(name) for name in names},
    }


def _nvidia_smi() -> str:
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def show(found: Mapping[str, Any], timings: list[Timing]) -> None:
    """Print the table of all results."""
    table = Table("what", "result", title=found["machine"]["device"])
    for name in ("tests", "verify"):
        step = found[name]
        table.add_row(name, step["summary"] if step["passed"] else f"FAILED: {step['summary']}")
    for timing in timings:
        table.add_row(f"{timing.network}, batch {timing.batch}", _describe(timing))
    service = found["service"]
    for name, value in service.items():
        table.add_row(f"service: {name}", _number(value))
    console.print(table)


def _describe(timing: Timing) -> str:
    if timing.twin_ms is None or timing.quartiles is None:
        return timing.note
    low, high = timing.quartiles
    parts = [
        f"zennit / twin {timing.ratio:.2f} ({low:.2f} to {high:.2f}, n={timing.n})",
        f"twin {timing.twin_ms:.2f} ms",
        f"canonized zennit {timing.canonized_ms:.2f} ms",
    ]
    if timing.graph_ms is not None and timing.graph_difference is not None:
        apart = timing.graph_difference
        parts.append(f"CUDA graph {timing.graph_ms:.2f} ms, {apart:.1e} from the twin")
    return "; ".join([*parts, timing.note] if timing.note else parts)


def _number(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_number(one)}" for name, one in value.items())
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _attempt(step: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Run a step; what fails in it must not cost the results of the others."""
    try:
        return step()
    except (RuntimeError, OSError, ValueError) as error:
        return {"passed": False, "summary": f"{type(error).__name__}: {error}"}


def main(
    device: Annotated[str, typer.Option(help="`cuda`; `cpu` to try the script out")] = "cuda",
    limit_s: Annotated[float, typer.Option(help="Seconds for everything")] = 450.0,
    largest_batch: Annotated[int, typer.Option(help="Larger batches are left out")] = 1024,
    out: Annotated[Path, typer.Option(help="The file for the results")] = Path("gpu.json"),
) -> None:
    """Run everything that needs a GPU."""
    began = time.perf_counter()
    try:
        opened = open_device(device)
    except ServiceError as error:
        console.print(f"error: {error.detail}; this command needs a GPU that CUDA knows")
        raise typer.Exit(2) from None
    found: dict[str, Any] = {"machine": machine(opened)}
    console.print(found["machine"])
    found["tests"] = _attempt(run_tests)
    found["verify"] = _attempt(lambda: verify(device))
    # before the engine is timed, which leaves it no memory
    found["service"] = _attempt(lambda: serve(device))
    sizes = [size for size in BATCH_SIZES if size <= largest_batch]
    timings = []
    for timing in time_networks(opened, sizes, began + limit_s):
        timings.append(timing)
        found["engine"] = [one.as_dict() for one in timings]
        out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")  # even if cut off
    show(found, timings)
    has_passed = found["tests"]["passed"] and found["verify"]["passed"]
    raise typer.Exit(0 if has_passed and "summary" not in found["service"] else 1)


if __name__ == "__main__":
    typer.run(main)
