"""What a run has measured, in files: the same command goes on with what is missing.

For each method, setting and block of images there is a file, written in one step. Images have one
order, so that the first block is the same however many images are asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import ServiceError

BLOCK = 100  # images

Arrays = dict[str, NDArray[np.float32]]


class RunError(ServiceError):
    """A folder has the results of another run."""

    type = "run-error"
    title = "The results cannot be continued"


@dataclass(frozen=True)
class Store:
    """Results in a folder.

    Attributes
    ----------
    folder : Path
        Of the run.
    """

    folder: Path

    def open(self, identity: Mapping[str, Any]) -> None:
        """Begin a run, or go on with it.

        Raises
        ------
        RunError
            The folder has results of another model, other images or other settings.
        """
        path = self.folder / "run.json"
        text = json.dumps(identity, indent=1, sort_keys=True) + "\n"
        if path.is_file() and path.read_text(encoding="utf-8") != text:
            raise RunError(
                f"{self.folder} has results of another model or of other images: give another "
                "folder as --out, or remove it"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def read(self, method: str, part: str, block: int, n: int = 0) -> Arrays | None:
        """What was measured of a block; None if that is missing, or of fewer than `n` images.

        The last block of a run of fewer images is a part of the block of a longer run.
        """
        path = self._path(method, part, block)
        if not path.is_file():
            return None
        with np.load(path) as found:
            arrays = dict(found)
        return arrays if all(len(one) >= n for one in arrays.values()) else None

    def write(self, method: str, part: str, block: int, arrays: Mapping[str, Any]) -> None:
        """Keep what was measured of a block."""
        path = self._path(method, part, block)
        path.parent.mkdir(parents=True, exist_ok=True)
        incomplete = path.with_suffix(".new.npz")
        contents: dict[str, Any] = {name: np.asarray(array) for name, array in arrays.items()}
        np.savez_compressed(incomplete, **contents)
        incomplete.replace(path)

    def read_all(self, method: str, part: str) -> Arrays | None:
        """All blocks from the first one on, up to one that is missing; None without any."""
        blocks: list[Arrays] = []
        while (found := self.read(method, part, len(blocks))) is not None:
            blocks.append(found)
        if not blocks:
            return None
        return {name: np.concatenate([one[name] for one in blocks]) for name in blocks[0]}

    def _path(self, method: str, part: str, block: int) -> Path:
        slug = re.sub(r"[^a-z0-9_]+", "-", method).strip("-")
        return self.folder / "blocks" / slug / part / f"{block:04d}.npz"
