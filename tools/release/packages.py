"""Wheels, sdists, and the chart as Helm packs it."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from tools.release.process import run

CHART = Path("deploy", "helm", "lrpserve")


def build_packages(root: Path, out: Path, epoch: str) -> None:
    """Build wheel and sdist of the service and of the client; the same bytes for one commit."""
    for project in (root, root / "client"):
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist"]
        run([*command, "-d", str(out)], project, SOURCE_DATE_EPOCH=epoch)


def build_chart(root: Path, out: Path, epoch: str) -> None:
    """Pack the chart for `helm install` and chart registries; the same bytes for one commit."""
    import helm_python

    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(root / CHART, Path(folder, CHART.name))
        for path in copy.rglob("*"):
            os.utime(path, (int(epoch), int(epoch)))  # Helm packs the times of files
        helm_python.package(copy, destination=out)
