"""`SHA256SUMS`, as `sha256sum --check` reads it."""

from __future__ import annotations

import hashlib
from pathlib import Path

NAME = "SHA256SUMS"


def write_checksums(folder: Path) -> list[str]:
    """Write the hash of every file of a folder; returns the lines."""
    files = sorted(path for path in folder.iterdir() if path.name != NAME)
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in files]
    (folder / NAME).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return lines
