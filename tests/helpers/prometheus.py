"""Prometheus and its `promtool`, from Debian's package, unpacked beside `.venv`."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from tests.helpers.conditions import wait_until
from tests.helpers.tools import cannot_run

ROOT = Path(__file__).parents[2]
_FOLDER = ROOT / ".venv-prometheus"
_PACKAGE = "prometheus"


def find_program(name: str) -> str:
    """The path of a program of the package; unpacks it where it is neither installed nor here."""
    unpacked = _FOLDER / "usr" / "bin" / name
    if not unpacked.exists() and (installed := shutil.which(name)):
        return installed
    if not unpacked.exists():
        _unpack()
    return str(unpacked)


def _unpack() -> None:
    _FOLDER.mkdir(exist_ok=True)
    download = ["apt-get", "download", _PACKAGE]
    try:
        if _run(download).returncode != 0:
            _run(["apt-get", "update"])
            _run(download).check_returncode()
        (package,) = _FOLDER.glob(f"{_PACKAGE}_*.deb")
        _run(["dpkg", "-x", str(package), str(_FOLDER)]).check_returncode()
        package.unlink()
    except (OSError, subprocess.CalledProcessError) as error:
        cannot_run(f"Debian's package {_PACKAGE} cannot be had ({error})")


def _run(command: list[str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, cwd=_FOLDER, capture_output=True, check=False)


def promtool(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run promtool, with a text as its input."""
    return subprocess.run(
        [find_program("promtool"), *arguments],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


class Prometheus:
    """A server that scrapes a target every half second."""

    def __init__(self, url: str) -> None:
        self._url = url

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression has now."""
        answer = httpx.get(f"{self._url}/api/v1/query?query={quote(expression)}").json()
        assert answer["status"] == "success", answer
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def rules(self) -> list[dict[str, Any]]:
        """The rules of all groups, with their health."""
        groups = httpx.get(f"{self._url}/api/v1/rules").json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def is_ready(self) -> bool:
        """Whether it serves."""
        try:
            return httpx.get(f"{self._url}/-/ready").status_code == 200
        except httpx.TransportError:
            return False


@contextmanager
def running_prometheus(folder: Path, target: str, rules: Path) -> Iterator[Prometheus]:
    """Start a Prometheus that scrapes `target` as the job lrpserve, and end it."""
    config = {
        "global": {"scrape_interval": "500ms", "evaluation_interval": "500ms"},
        "rule_files": [str(rules)],
        "scrape_configs": [{"job_name": "lrpserve", "static_configs": [{"targets": [target]}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    command = [find_program("prometheus"), f"--config.file={folder / 'prometheus.yml'}"]
    command += [f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address={address}"]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        prometheus = Prometheus(f"http://{address}")
        wait_until(prometheus.is_ready)
        yield prometheus
    finally:
        process.kill()
        process.wait()
