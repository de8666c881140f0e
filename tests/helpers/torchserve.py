"""A real TorchServe with the shipped network, and the calls of its users."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.helpers.environments import ROOT

SCRIPTS = ROOT / "tests" / "ecosystem" / "scripts"
MODEL = "minivgg-cifar10"
START_LIMIT_S = 120.0


@dataclass(frozen=True)
class Answer:
    """What a call got."""

    status: int
    content_type: str
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@contextmanager
def running_torchserve(python: Path, folder: Path) -> Iterator[str]:
    """Archive the shipped network, serve it, and end the server; gives its URL."""
    _archive(python, folder)
    url = f"http://127.0.0.1:{free_port()}"
    config = folder / "config.properties"
    config.write_text(_config(url), encoding="utf-8")
    command = [str(python.parent / "torchserve"), "--start", "--foreground", "--ncs"]
    command += ["--disable-token-auth", "--ts-config", str(config), "--model-store", str(folder)]
    environment = os.environ | {"PATH": f"{python.parent}:{os.environ['PATH']}"}
    environment |= {"LOG_LOCATION": str(folder), "METRICS_LOCATION": str(folder)}
    with (folder / "torchserve.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--models", f"{MODEL}={MODEL}.mar"],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait_until_healthy(process, url, folder)
        yield url
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(START_LIMIT_S)


def call_all(url: str, image: Path, folder: Path) -> dict[str, Answer]:
    """Run the users' script; returns the answers by its names of the calls."""
    folder.mkdir()
    script = SCRIPTS / "torchserve_calls.sh"
    subprocess.run(["sh", str(script), url, MODEL, str(image), str(folder)], check=True)
    answers = {}
    for head in sorted(folder.glob("*.head")):
        status, _, content_type = head.read_text(encoding="utf-8").partition(" ")
        body = head.with_suffix(".body").read_bytes()
        answers[head.stem] = Answer(int(status), content_type, body)
    return answers


def _archive(python: Path, folder: Path) -> None:
    model = SCRIPTS / "torchserve_model.py"
    subprocess.run([sys.executable, str(model), str(folder)], cwd=ROOT, env=_ROOTED, check=True)
    shutil.copy(SCRIPTS / "torchserve_handler.py", folder / "handler.py")
    command = [str(python.parent / "torch-model-archiver"), "--model-name", MODEL]
    command += ["--version", "1.0", "--serialized-file", "model.pt", "--handler", "handler.py"]
    command += ["--extra-files", "index_to_name.json", "--export-path", str(folder)]
    subprocess.run(command, cwd=folder, check=True)


_ROOTED = os.environ | {"PYTHONPATH": str(ROOT)}


def _config(url: str) -> str:
    ports = [f"http://127.0.0.1:{free_port()}" for _ in range(2)]
    return "\n".join(
        [
            f"inference_address={url}",
            f"management_address={ports[0]}",
            f"metrics_address={ports[1]}",
            f"grpc_inference_port={free_port()}",
            f"grpc_management_port={free_port()}",
            "default_workers_per_model=1",
            "disable_system_metrics=true",
            "enable_envvars_config=false",
        ]
    )


def _wait_until_healthy(process: subprocess.Popen[bytes], url: str, folder: Path) -> None:
    limit = time.monotonic() + START_LIMIT_S
    while time.monotonic() < limit and process.poll() is None:
        with suppress(httpx.TransportError):
            if httpx.get(f"{url}/ping").json() == {"status": "Healthy"}:
                return
        time.sleep(0.1)
    raise RuntimeError(f"TorchServe did not start:\n{(folder / 'torchserve.log').read_text()}")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
