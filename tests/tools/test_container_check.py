"""`.ci/container` skips where there is too little disk, and fails where a build fails."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def put(folder: Path, name: str, script: str) -> None:
    """Make a program."""
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def check(folder: Path, build: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the check with a Docker whose images lie in a folder; `build` is what its build does."""
    put(
        folder,
        "docker",
        f'echo "$1" >> {folder}/calls\ncase $1 in info) echo {folder};; build) {build};; esac',
    )
    environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"} | variables
    return subprocess.run(
        [ROOT / ".ci" / "container"], env=environment, capture_output=True, text=True, check=False
    )


def test_too_little_disk_is_said_before_anything_is_built(tmp_path: Path) -> None:
    put(tmp_path, "df", "echo Avail; echo ' 3G'")
    done = check(tmp_path, "exit 1", NEEDED_GB="16")
    assert done.returncode == 77
    assert f"SKIPPED: a build needs 16 GB in {tmp_path}, 3 are free" in done.stdout
    assert "build" not in (tmp_path / "calls").read_text().split()


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("write /a: no space left on device", 77),
        ("No space left on device (os error 28)", 77),
        ("no such package", 3),
    ],
)
def test_a_disk_that_is_filled_meanwhile_is_no_failure(
    tmp_path: Path, said: str, status: int
) -> None:
    done = check(tmp_path, f"echo '{said}' >&2; exit 3", NEEDED_GB="0")
    assert done.returncode == status
    assert said in done.stdout
    assert ("SKIPPED: the disk was full" in done.stdout) == (status == 77)
