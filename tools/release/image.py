"""The container image, where Docker or Podman can pull the base image."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tools.release.process import CommandFailed, run


def build_image(root: Path, tag: str) -> str:
    """Build the image; returns a sentence that says what was built, or that nothing was."""
    dockerfile = (root / "Dockerfile").read_text(encoding="utf-8")
    (base,) = re.findall(r"^ARG BASE_IMAGE=(\S+)$", dockerfile, re.MULTILINE)
    for engine in ("docker", "podman"):
        if can_pull(engine, base, root):
            commit = run(["git", "rev-parse", "HEAD"], root).strip()  # which /version shows
            run([engine, "build", "--build-arg", f"COMMIT={commit}", "-t", tag, "."], root)
            return f"image {tag} was built with {engine}; push it to your registry"
    return (
        f"NO IMAGE WAS BUILT: neither Docker nor Podman can pull {base} here; "
        f"run `docker build -t {tag} .` where one can"
    )


def can_pull(engine: str, image: str, root: Path) -> bool:
    """Whether an engine is there, runs, and reaches the registry."""
    if shutil.which(engine) is None:
        return False
    try:
        run([engine, "info"], root)
        run([engine, "pull", "-q", image], root)
    except CommandFailed:
        return False
    return True
