"""Wheels, sdists, and the chart as Helm packs it."""

from __future__ import annotations

import sys
from pathlib import Path

from tools.release.process import run

CHART = Path("deploy", "helm", "lrpserve")


def build_packages(root: Path, out: Path, epoch: str) -> None:
    """Build wheel and sdist of the service and of the client; the same bytes for one commit."""
    for project in (root, root / "client"):
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist"]
        run([*command, "-d", str(out)], project, SOURCE_DATE_EPOCH=epoch)


def build_chart(root: Path, out: Path) -> None:
    """Pack the chart for `helm install` and chart registries."""
    import helm_python

    helm_python.package(root / CHART, destination=out)
