"""Relevance to pictures: heatmaps and overlays as PNG."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.imaging.colormaps import CENTER, color_table
from service.imaging.png import palette_png

Relevance = NDArray[np.float32]
Frame = tuple[int, int]
_OVERLAY_LIGHT = 0.35  # how far the grey picture under an overlay is moved towards white
_OVERLAY_STRENGTH = 0.9  # how much of the picture the strongest relevance hides


def own_bound(relevance: Relevance) -> float:
    """The largest absolute relevance, of any shape: what maps to full colour."""
    return float(np.abs(relevance).max())


def heatmap_png(
    relevance: Relevance, bound: float, cmap: str, side: int, frame: Frame | None = None
) -> bytes:
    """Draw relevance as an 8-bit palette PNG.

    Parameters
    ----------
    relevance : NDArray[float32]
        Shape (H, W).
    bound : float
        The absolute relevance that gets the full colour; more is clipped. With 0 all is nothing.
    cmap : str
        A key of `COLORMAPS`.
    side : int
        The longer side of the picture, in pixels; pixels of the map become squares.
    frame : tuple of 2 int, optional
        Height and width of what the picture is to be as large as: of the image, where the map is
        of a layer that is smaller; by default those of the map.
    """
    size = _enlarged(frame or relevance.shape, side)
    return palette_png(color_indices(relevance, bound), size, color_table(cmap).tobytes())


def overlay_png(
    relevance: Relevance,
    bound: float,
    cmap: str,
    side: int,
    picture: Image.Image,
    frame: Frame | None = None,
) -> bytes:
    """Draw relevance over the grey picture that it belongs to, as an RGB PNG.

    The colour covers the more of the picture, the larger the relevance is; where it is zero, the
    picture stays grey.

    Parameters
    ----------
    relevance, bound, cmap, side, frame
        As in `heatmap_png`.
    picture : Image.Image
        What the network saw, in mode RGB and any size with the aspect ratio of the answer.
    """
    size = _enlarged(frame or relevance.shape, side)
    indices = Image.fromarray(color_indices(relevance, bound))
    smooth = np.asarray(indices.resize(size, Image.Resampling.BILINEAR))
    grey = np.asarray(picture.resize(size, Image.Resampling.BILINEAR).convert("L"), np.float32)
    grey += _OVERLAY_LIGHT * (255 - grey)
    strength = np.abs(smooth.astype(np.float32) - CENTER) / CENTER * _OVERLAY_STRENGTH
    # the ends of the map: paler colours and less cover at once would hide weak relevance twice
    color = color_table(cmap)[np.where(smooth > CENTER, 2 * CENTER, 0)]
    mixed = grey[..., None] * (1 - strength[..., None]) + color * strength[..., None]
    buffer = io.BytesIO()
    # level 1: six times as fast as the default and hardly larger
    Image.fromarray(np.rint(mixed).astype(np.uint8)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def color_indices(relevance: Relevance, bound: float) -> NDArray[np.uint8]:
    """Map relevance of any shape to indices into a table of colours: 0 to 254, zero to 127."""
    if bound == 0:
        return np.full(relevance.shape, CENTER, dtype=np.uint8)
    with np.errstate(over="ignore"):  # a tiny bound: infinity is clipped as well
        share = np.clip(relevance.astype(np.float64) / bound, -1, 1)
    return (CENTER + np.rint(share * CENTER)).astype(np.uint8)


def _enlarged(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    height, width = shape
    longer = max(height, width)
    return max(1, round(width * side / longer)), max(1, round(height * side / longer))
