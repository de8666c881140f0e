"""Warm-up of decoding and rendering, so that no request waits for imports."""

from __future__ import annotations

import numpy as np

from service.imaging.decode import decode
from service.imaging.render import heatmap_png, overlay_png
from service.imaging.render_options import RenderOptions


def warm_up_imaging() -> None:
    """Render and decode once: loads matplotlib and Pillow's plugins in half a second."""
    relevance = np.ones((2, 2), np.float32)
    picture = decode(heatmap_png(relevance, RenderOptions(bound=1.0, side=16)), max_pixels=256)
    options = RenderOptions(bound=1.0, side=16, overlay_style="contours", color_bar=True)
    overlay_png(relevance, options, picture)
