"""Contour lines of relevance, for overlays."""

from __future__ import annotations

import numpy as np
from contourpy import LineType, contour_generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw

# relevance has a few large values and many small ones: each level is twice the one below
LEVELS = (0.1, 0.2, 0.4, 0.8)
_FAINTEST = 0.45  # opacity of lines of the lowest level; lines of the highest are opaque
_FINER = 2  # supersampling, for smooth edges of lines
_PIXELS_PER_WIDTH = 160  # lines are one pixel wide in a picture of this side


def contour_mask(share: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Draw contour lines of a map at `LEVELS`.

    The map is linear between the centres of its pixels, and constant beyond the outer ones.

    Parameters
    ----------
    share : NDArray[float32]
        Relevance as a share of the bound, shape (H, W).
    size : tuple of 2 int
        Width and height of the picture, in pixels.

    Returns
    -------
    NDArray[uint8]
        Opacity of the lines, 0 to 255, shape (height, width); higher levels are more opaque.
    """
    width, height = size
    canvas = Image.new("L", (width * _FINER, height * _FINER))
    brush = ImageDraw.Draw(canvas)
    line_width = max(_FINER, round(_FINER * max(size) / _PIXELS_PER_WIDTH))
    columns, rows = (
        _centers(n, n_pixels) for n, n_pixels in zip(share.shape[::-1], canvas.size, strict=True)
    )
    contours = contour_generator(
        columns, rows, np.pad(share, 1, mode="edge"), line_type=LineType.Separate
    )
    # round joints take most of the time, and do not show where segments are shorter than wide
    joint = "curve" if canvas.width / share.shape[1] > line_width else None
    opacities = np.linspace(_FAINTEST, 1, len(LEVELS))
    for level, opacity in zip(LEVELS, opacities, strict=True):
        for line in contours.lines(level):
            points = np.ravel(line).tolist()  # type: ignore[arg-type]  # of "Separate" they are arrays
            brush.line(points, round(255 * opacity), line_width, joint)
    return np.asarray(canvas.reduce(_FINER))


def _centers(n: int, n_pixels: int) -> NDArray[np.float64]:
    """Positions of the centres of a map's pixels in a picture, with one more on each side."""
    return (np.arange(-1, n + 1) + 0.5) * n_pixels / n
