"""Small folders of images for tests."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("cat", "dog")


def write_folder(root: Path, per_class: int, size: tuple[int, int] = (32, 32)) -> None:
    """Write random PNGs, brighter ones for the second class so that there is something to learn.

    Parameters
    ----------
    root : Path
        Gets a folder for each class.
    per_class : int
        Number of images.
    size : tuple of 2 int
        Height and width.
    """
    random = np.random.default_rng(zlib.crc32(root.name.encode()))
    for label, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True)
        for number in range(per_class):
            pixels = random.integers(80 * label, 150 + 80 * label, (*size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
