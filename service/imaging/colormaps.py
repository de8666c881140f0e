"""Colour maps for relevance: 255 colours from against (0) over zero (127) to for (254)."""

from __future__ import annotations

import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.imaging.png import palette_png

DEFAULT = "bwr"
CENTER = 127  # the index of zero: with an odd number of colours there is one in the middle
N_COLORS = 2 * CENTER + 1

# name -> what it looks like; all are matplotlib's, diverging, with a light colour for zero
COLORMAPS = {
    "bwr": "red for, blue against, white nothing",
    "seismic": "dark red for, dark blue against, white nothing",
    "coolwarm": "soft red for, soft blue against, grey nothing",
    "RdBu_r": "red for, blue against, off-white nothing; safe for colour-blind people",
    "PuOr_r": "orange for, purple against, off-white nothing; safe for colour-blind people",
    "PRGn_r": "purple for, green against, off-white nothing; safe for colour-blind people",
}

# according to ColorBrewer (Harrower & Brewer 2003, The Cartographic Journal 40:27-37)
COLOR_BLIND_SAFE = frozenset({"RdBu_r", "PuOr_r", "PRGn_r"})
_STRIP_HEIGHT = 8


@cache
def color_table(name: str) -> NDArray[np.uint8]:
    """The colour table of a map.

    Parameters
    ----------
    name : str
        A key of `COLORMAPS`.

    Returns
    -------
    NDArray[uint8]
        RGB, shape (255, 3), read-only.
    """
    _use_own_settings()
    import matplotlib  # takes 0.2 s to import, and only a first picture needs it

    rgba = matplotlib.colormaps[name].resampled(N_COLORS)(np.arange(N_COLORS), bytes=True)
    table: NDArray[np.uint8] = np.ascontiguousarray(rgba[:, :3], dtype=np.uint8)
    table.setflags(write=False)
    return table


def _use_own_settings() -> None:
    """Let matplotlib be imported with the settings that it comes with.

    To look for the user's, it makes a folder beneath `HOME`, or a temporary one, which stays behind
    when the process is killed; and without a disk to write to the import fails.
    """
    spec = find_spec("matplotlib")
    if spec is not None and spec.origin is not None:
        own = Path(spec.origin).parent / "mpl-data" / "matplotlibrc"
        os.environ.setdefault("MATPLOTLIBRC", str(own))


@cache
def strip_png(name: str) -> bytes:
    """A PNG of 255 by 8 pixels with all colours of a map in a row, from against to for."""
    size = N_COLORS, _STRIP_HEIGHT
    return palette_png(np.arange(N_COLORS, dtype=np.uint8)[None], size, color_table(name).tobytes())
