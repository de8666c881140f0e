"""Load what decoding and drawing need, so that no request waits for it."""

from __future__ import annotations

import numpy as np

from service.imaging.colormaps import DEFAULT
from service.imaging.decode import decode
from service.imaging.render import heatmap_png


def warm_up_imaging() -> None:
    """Draw a picture and decode it: imports matplotlib and Pillow's plugins, half a second."""
    picture = heatmap_png(np.ones((2, 2), np.float32), bound=1.0, cmap=DEFAULT, side=16)
    decode(picture, max_pixels=256)
