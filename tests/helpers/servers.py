"""A real server process for tests, on a free port."""

from __future__ import annotations

import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from service.models.registry import find_bundle
from service.settings import DEFAULT_MODEL

COMMAND = (
    sys.executable,
    "-c",
    "from service.commands.__main__ import run; run()",
    "serve",
    "--port",
    "0",
)
GREETING = "ready: "  # printed a moment after the first request may be served
START_LIMIT_S = 90.0
STOP_LIMIT_S = 30.0


@dataclass(frozen=True)
class RunningServer:
    """A server that is ready: its address, its process, and the file with its output."""

    url: str
    process: subprocess.Popen[bytes]
    output: Path

    def read_output(self) -> str:
        """What it has printed."""
        return self.output.read_text(encoding="utf-8")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; returns the exit status."""
        self.process.send_signal(number)
        return self.process.wait(STOP_LIMIT_S)


@contextmanager
def started_server(
    folder: Path,
    settings: Mapping[str, str] | None = None,
    command: tuple[str, ...] = COMMAND,
    cwd: Path | None = None,
) -> Iterator[RunningServer]:
    """Start a server, wait until its port is open, and end it."""
    output = folder / "server.log"
    with output.open("wb") as stream:
        process = subprocess.Popen(
            command,
            stdout=stream,
            stderr=stream,
            env={**os.environ, **(settings or {})},
            cwd=cwd,
            start_new_session=True,  # so that what it has started can be ended with it
        )
    try:
        yield RunningServer(_wait_until_open(process, output), process, output)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(STOP_LIMIT_S)


@contextmanager
def running_server(
    folder: Path,
    settings: Mapping[str, str] | None = None,
    command: tuple[str, ...] = COMMAND,
    cwd: Path | None = None,
    trust: ssl.SSLContext | None = None,
) -> Iterator[RunningServer]:
    """Start a server, wait until it is ready, and end it; with TLS `trust` has its authority."""
    with started_server(folder, settings, command, cwd) as server:
        wait_until_ready(server, trust)
        yield server


def wait_until_ready(server: RunningServer, trust: ssl.SSLContext | None = None) -> None:
    """Wait until a server that was started takes requests, and has said so."""
    limit = time.monotonic() + START_LIMIT_S
    while time.monotonic() < limit and server.process.poll() is None:
        if _is_ready(server.url, trust) and GREETING in server.read_output():
            return
        time.sleep(0.05)
    raise RuntimeError(f"the server did not become ready:\n{server.read_output()}")


def _wait_until_open(process: subprocess.Popen[bytes], output: Path) -> str:
    limit = time.monotonic() + START_LIMIT_S
    while time.monotonic() < limit and process.poll() is None:
        url = _announced_url(output.read_text(encoding="utf-8"))
        if url:
            return url
        time.sleep(0.05)
    raise RuntimeError(f"the server did not start:\n{output.read_text(encoding='utf-8')}")


def _announced_url(text: str) -> str | None:
    _, found, rest = text.partition("listens on ")
    return rest.split(";", 1)[0] if found and ";" in rest else None


def _is_ready(url: str, trust: ssl.SSLContext | None) -> bool:
    try:
        return httpx.get(f"{url}/readyz", verify=trust or True).status_code == 200
    except httpx.TransportError:
        return False


def run_to_the_end(
    settings: Mapping[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run a server that is expected to exit by itself."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=STOP_LIMIT_S * 2,
    )


def assert_one_sentence(done: subprocess.CompletedProcess[str], *said: str) -> None:
    """Check that a server exited with status 2 and one line that says why."""
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    for text in said:
        assert text in line


def copy_bundle(bundle: Path, **changes: Any) -> Path:
    """Copy the shipped bundle, with changes of its card."""
    shutil.copytree(find_bundle(DEFAULT_MODEL), bundle)
    card = json.loads((bundle / "model.json").read_text(encoding="utf-8"))
    (bundle / "model.json").write_text(json.dumps(card | changes), encoding="utf-8")
    return bundle
