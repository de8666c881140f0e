"""Encoded pictures, and those on a page, as pixels."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page

CANVAS = """async (i) => {
  const canvas = document.querySelectorAll(".map canvas")[i];
  const bytes = new Uint8Array(await (await new Promise((r) => canvas.toBlob(r))).arrayBuffer());
  return [...bytes];
}"""


def pixels(content: bytes) -> NDArray[np.uint8]:
    """RGB, shape (H, W, 3)."""
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def drawn(page: Page, i: int = 0) -> NDArray[np.uint8]:
    """The `i`-th map of a page, RGB, shape (H, W, 3)."""
    return pixels(bytes(page.evaluate(CANVAS, i)))


def largest_difference(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> int:
    """Of any channel of any pixel."""
    return int(np.abs(first.astype(int) - second.astype(int)).max())
