"""Masks of shapes, exact to the pixel: a pixel belongs to the object or it does not."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

SHAPES = ("disc", "square", "triangle", "plus", "cross")
_SQUARE = 0.85  # half the side of the square, so that the areas of the shapes are alike
_ARM = 0.34  # half the width of an arm of the plus, as a share of half the box
_STROKE = 0.42  # half the width of a stroke of the cross, measured along an axis


@cache
def templates(max_box_px: int) -> NDArray[np.bool_]:
    """The masks of all shapes in all boxes, each in the upper left corner of the largest box.

    Returns
    -------
    NDArray[bool]
        Shape (shapes, max_box_px + 1, max_box_px, max_box_px): by shape, and by side of the box.
    """
    sides = np.arange(max_box_px + 1)
    half = np.maximum(sides, 1)[:, None, None] / 2
    centers = np.arange(max_box_px) + 0.5
    y = centers[None, :, None] / half - 1  # -1 to 1 over the box
    x = centers[None, None, :] / half - 1
    across, down = np.abs(x), np.abs(y)
    drawn = {
        "disc": x**2 + y**2 <= 1,
        "square": np.maximum(across, down) <= _SQUARE,
        "triangle": across <= (y + 1) / 2,
        "plus": np.minimum(across, down) <= _ARM,
        "cross": np.abs(across - down) <= _STROKE,
    }
    is_inside = (across < 1) & (down < 1)
    masks = np.stack([drawn[name] & is_inside for name in SHAPES])
    masks.setflags(write=False)
    return masks
