"""A bundle for a GPU machine without a network: the project, and the wheels that it lacks.

Such a machine has CUDA, Python 3.12, and torch and torchvision of one build with what they need.
`make gpu-bundle` makes the folder; `bash gpu-bundle/run` on the machine does what `make gpu` does.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Annotated

import typer

ROOT = Path(__file__).parents[1]
PYTHON_VERSION = "3.12"
MAX_WHEELS_BYTES = 60 << 20
_PLATFORM = "x86_64-manylinux_2_28"
_WHEEL_PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")
_PRESENT = ("torch>=2.11", "torchvision>=0.26")  # on the machine, with their requirements
_FOR_TESTS = ("pytest", "pytest-timeout", "hypothesis", "httpx")
_OURS_ALWAYS = ("pillow",)  # torchvision brings it, often too old for our decoders
_RUN = """#!/usr/bin/env bash
# Install the wheels beside the machine's own torch, and run everything that needs a GPU.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m pip install --quiet --no-index --no-deps --no-cache-dir --upgrade \\
  --target "$work/site" "$here"/wheels/*.whl
tar -xzf "$here/project.tar.gz" -C "$work"
export PYTHONPATH="$work/site:$work/project:$work/project/client"
out=${OUT:-$PWD}
cd "$work/project"
"$python" -m benchmarks.gpu --out "$out/gpu.json" "$@"
"""


class BundleFailed(Exception):
    """The bundle cannot be made."""


def resolve(requirements: tuple[str, ...], *sources: str) -> dict[str, str]:
    """Resolve requirements, also those in files, for the machine; returns versions by name."""
    command = [
        str(Path(sys.executable).with_name("uv")), "pip", "compile", "--quiet", "--no-annotate",
        "--no-header", "--python-platform", _PLATFORM, "--python-version", PYTHON_VERSION,
        "-c", "constraints.txt", *sources, "-",
    ]  # fmt: skip
    output = _run(command, "\n".join(requirements))
    return dict(line.split("==", 1) for line in output.splitlines() if "==" in line)


def _run(command: list[str], text: str | None = None) -> str:
    done = subprocess.run(  # noqa: S603  programs of ours
        command, cwd=ROOT, input=text, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise BundleFailed(f"{' '.join(command[:3])} failed: {done.stderr.strip()}")
    return done.stdout


def missing_packages() -> list[str]:
    """What the machine lacks, as `name==version`."""
    needed = resolve(_FOR_TESTS, "pyproject.toml", "client/pyproject.toml")
    present = resolve(_PRESENT)
    return [
        f"{name}=={pinned}"
        for name, pinned in needed.items()
        if name not in present or name in _OURS_ALWAYS
    ]


def download(packages: list[str], folder: Path) -> None:
    """Download wheels for the machine's Python, whatever this machine's is."""
    platforms = [f"--platform={name}_x86_64" for name in _WHEEL_PLATFORMS]
    _run([
        sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
        "--python-version", PYTHON_VERSION, "--implementation=cp", *platforms,
        "--dest", str(folder), *packages,
    ])  # fmt: skip


def pack_project(target: Path) -> None:
    """Pack the files of the working tree that git does not ignore."""
    names = _run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]).split(
        "\0"
    )
    with tarfile.open(target, "w:gz") as archive:
        for name in filter(None, names):
            if (ROOT / name).exists():
                archive.add(ROOT / name, f"project/{name}")


def main(
    out: Annotated[Path, typer.Option(help="The folder, which is made anew")] = ROOT / "gpu-bundle",
) -> None:
    """Make the bundle."""
    shutil.rmtree(out, ignore_errors=True)
    wheels = out / "wheels"
    wheels.mkdir(parents=True)
    try:
        download(missing_packages(), wheels)
        pack_project(out / "project.tar.gz")
    except BundleFailed as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    (out / "run").write_text(_RUN, encoding="utf-8")
    n_bytes = sum(wheel.stat().st_size for wheel in wheels.iterdir())
    n_wheels = len(list(wheels.iterdir()))
    typer.echo(f"{out}: {n_wheels} wheels of {n_bytes / (1 << 20):.1f} MiB, and the project")
    if n_bytes > MAX_WHEELS_BYTES:
        typer.echo(f"error: the wheels have more than {MAX_WHEELS_BYTES >> 20} MiB", err=True)
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
