"""Encoded pictures as pixels."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def pixels(content: bytes) -> NDArray[np.uint8]:
    """RGB, shape (H, W, 3)."""
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
