"""Distributions for tests: built from a folder, and installed from uv's cache."""

from __future__ import annotations

import email
import subprocess
import sys
import zipfile
from pathlib import Path


def build(source: Path, target: str, folder: Path) -> Path:
    """Build the `wheel` or `sdist` of the project in `source` into `folder`."""
    done = _run_module(["hatchling", "build", "-t", target, "-d", str(folder)], source)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob({"wheel": "*.whl", "sdist": "*.tar.gz"}[target])
    return built


def install(*arguments: str) -> None:
    """Run `uv pip install`: from uv's cache, and where that is empty from the package index."""
    command = ["uv", "pip", "install", *arguments]
    done = _run_module([*command, "--offline"])
    if done.returncode != 0:
        done = _run_module(command)
    assert done.returncode == 0, done.stdout + done.stderr


def version_of(wheel: Path) -> str:
    """The version in a wheel's metadata."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return str(email.message_from_bytes(archive.read(name))["Version"])


def _run_module(
    arguments: list[str], folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
