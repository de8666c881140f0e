"""Environments with clients and systems of others, made with uv or npm beside `.venv`.

They stay where they are, and are made anew when their requirements change. Where one cannot be made
the tests that need it are skipped, but fail in CI.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.helpers.tools import cannot_run, find_tool

ROOT = Path(__file__).parents[2]
_STAMP = "requirements.installed"


def environment(name: str, *requirements: str, python: str = sys.executable) -> Path:
    """Make `.venv-NAME`, or reuse it; returns its Python.

    Parameters
    ----------
    requirements : sequence of str
        Of `uv pip install`.
    python : str
        A version, or the path of an interpreter.
    """
    folder = ROOT / f".venv-{name}"
    interpreter = folder / "bin" / "python"
    stamp, wanted = folder / _STAMP, "\n".join([python, *requirements])
    with _lock():
        if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
            _uv(name, "venv", "--clear", "--python", python, str(folder))
            _uv(name, "pip", "install", "--python", str(interpreter), *requirements)
            stamp.write_text(wanted, encoding="utf-8")
    return interpreter


def npm_folder(name: str, *packages: str) -> Path:
    """Install packages of npm in `.venv-NAME`, or reuse it; returns the folder."""
    npm = find_tool("npm")
    folder = ROOT / f".venv-{name}"
    stamp, wanted = folder / _STAMP, "\n".join(packages)
    with _lock():
        if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
            folder.mkdir(exist_ok=True)
            (folder / "package.json").write_text('{"private": true}', encoding="utf-8")
            options = ("--silent", "--no-audit", "--no-fund", "--no-package-lock")
            _run(name, [npm, "install", *options, "--prefix", str(folder), *packages])
            stamp.write_text(wanted, encoding="utf-8")
    return folder


def run_script(python: Path, script: Path, *arguments: str, timeout_s: float = 100) -> Any:
    """Run a script in an environment; returns the JSON that is the last line it prints."""
    command = [str(python), str(script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_s)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def _lock() -> Iterator[None]:
    """Wait for other sessions that make an environment."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _uv(name: str, *arguments: str) -> None:
    _run(name, [sys.executable, "-m", "uv", "--quiet", *arguments])


def _run(name: str, command: list[str]) -> None:
    variables = os.environ | {"UV_SYSTEM_CERTS": "1"}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        cannot_run(f".venv-{name} cannot be made ({done.stderr.strip()})")
