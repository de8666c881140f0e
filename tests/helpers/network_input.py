"""Sample images as the network takes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


def read_pixels(path: Path) -> Pixels:
    """An image file that has the network's size already: uint8 of shape (32, 32, 3)."""
    with Image.open(path) as image:
        return np.array(image.convert("RGB"), dtype=np.uint8)
