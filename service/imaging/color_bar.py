"""The colour bar beside a rendered map: which colour stands for how much relevance."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from service.imaging.colormaps import CENTER

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Picture = NDArray[np.uint8]
# the relevance that a bar shows, as shares of the bound: from for (1) to against (-1)
RAMP = (np.arange(CENTER, -CENTER - 1, -1, dtype=np.float32) / CENTER)[:, None]
_PAPER, _INK = (255, 255, 255), (32, 32, 32)
_FONT_SHARE = 16  # letters have the 16th part of the picture's height
_SMALLEST_FONT, _LARGEST_FONT = 10, 64
_LINES = 4  # minimum height of a bar, in lines of text


def bar_size(height: int) -> tuple[int, int]:
    """Width and height of the bar beside a picture of a height, in pixels."""
    font_px = _font_px(height)
    return font_px, max(height, _LINES * font_px)


def with_color_bar(picture: Picture, bar: Picture, bound: float) -> Picture:
    """Append a colour bar with its scale to the right of a picture.

    Parameters
    ----------
    picture : NDArray[uint8]
        RGB, shape (H, W, 3).
    bar : NDArray[uint8]
        RGB, of `bar_size(H)`: `RAMP`, rendered in the same way as the picture.
    bound : float
        The absolute relevance at the ends of the bar.

    Returns
    -------
    NDArray[uint8]
        RGB, as high as the bar.
    """
    height, width = picture.shape[:2]
    bar_height, font_px = bar.shape[:2]
    font, gap, labels = _font(font_px), font_px // 2, _labels(bound)
    text_left = width + gap + font_px + gap
    text_width = max(round(font.getbbox(text)[2]) for text in labels)
    canvas = Image.new("RGB", (text_left + text_width + gap, bar_height), _PAPER)
    canvas.paste(Image.fromarray(picture), (0, (bar_height - height) // 2))
    canvas.paste(Image.fromarray(bar), (width + gap, 0))
    brush = ImageDraw.Draw(canvas)
    for text, y, anchor in zip(
        labels, (0, bar_height / 2, bar_height), ("la", "lm", "ld"), strict=True
    ):
        brush.text((text_left, y), text, _INK, font, anchor)
    return np.asarray(canvas)


def _font_px(height: int) -> int:
    return min(max(height // _FONT_SHARE, _SMALLEST_FONT), _LARGEST_FONT)


def _labels(bound: float) -> tuple[str, str, str]:
    """Labels at the top, in the middle and at the bottom."""
    if bound == 0:
        return "", "0", ""
    return f"+{bound:.3g}", "0", f"-{bound:.3g}"


@lru_cache(maxsize=64)
def _font(font_px: int) -> Font:
    return ImageFont.load_default(font_px)
