"""Rendering of relevance as PNG heatmaps and overlays."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.imaging.color_bar import RAMP, bar_size, with_color_bar
from service.imaging.colormaps import CENTER, color_table
from service.imaging.contours import contour_mask
from service.imaging.png import enlarge_nearest, palette_png, rgb_png
from service.imaging.render_options import OverlayStyle, RenderOptions

Relevance = NDArray[np.floating[Any]]
Pixels = NDArray[np.uint8]
Size = tuple[int, int]
_OVERLAY_LIGHT = 0.35  # share of white that is mixed into the grey image under an overlay
_OVERLAY_STRENGTH = 0.9  # opacity of the strongest relevance
_N_GREYS = 256
_WHITE = np.full((1, 1), 255, np.uint8)


def own_bound(relevance: Relevance) -> float:
    """The default bound: the largest absolute relevance, of an array of any shape."""
    return float(np.abs(relevance).max())


def heatmap_png(relevance: Relevance, options: RenderOptions) -> bytes:
    """Render relevance as an 8-bit palette PNG, or as an RGB PNG with a colour bar.

    Parameters
    ----------
    relevance : NDArray[float32]
        Shape (H, W).
    options : RenderOptions
        Size, colours and style.
    """
    size, table = options.output_size(relevance.shape), color_table(options.cmap)
    is_smooth = options.enlarge == "smooth"
    # squares are enlarged while they are written, which is much faster
    size_of_indices = size if is_smooth or options.color_bar else None
    indices = _indices(relevance, options.bound, size_of_indices, is_smooth)
    if not options.color_bar:
        return palette_png(indices, size, table.tobytes())
    bar = _indices(RAMP, _bar_bound(options), bar_size(size[1]), is_smooth)
    return rgb_png(with_color_bar(table[indices], table[bar], options.bound))


def heatmap_pixels(relevance: Relevance, options: RenderOptions) -> Pixels:
    """Render relevance as RGB pixels, without a colour bar.

    Parameters
    ----------
    relevance : NDArray[float32]
        Shape (H, W).
    options : RenderOptions
        Size and colours.

    Returns
    -------
    NDArray[uint8]
        The pixels of `heatmap_png`, shape (H, W, 3).
    """
    size = options.output_size(relevance.shape)
    indices = _indices(relevance, options.bound, size, options.enlarge == "smooth")
    return color_table(options.cmap)[indices]


def overlay_png(relevance: Relevance, options: RenderOptions, picture: Image.Image) -> bytes:
    """Render relevance over its image in grey, as an RGB PNG.

    The image stays grey where the relevance is zero.

    Parameters
    ----------
    relevance : NDArray[float32]
        Shape (H, W).
    options : RenderOptions
        Size, colours and style.
    picture : Image.Image
        The network's view of the image, mode RGB, of any size with the aspect ratio of the overlay.
    """
    size = options.output_size(relevance.shape)
    grey = np.asarray(picture.resize(size, Image.Resampling.BILINEAR).convert("L"))
    drawn = _draw_over(grey, relevance, options, size)
    if not options.color_bar:
        return rgb_png(drawn)
    bar = _draw_over(_WHITE, RAMP, replace(options, bound=_bar_bound(options)), bar_size(size[1]))
    return rgb_png(with_color_bar(drawn, bar, options.bound))


def picture_png(picture: Image.Image) -> bytes:
    """Encode an image, mode RGB, as a PNG."""
    return rgb_png(np.asarray(picture))


def color_indices(relevance: Relevance, bound: float) -> Pixels:
    """Map relevance of any shape to indices into a table of colours: 0 to 254, zero to 127."""
    return _to_indices(_share(relevance, bound))


def _indices(relevance: Relevance, bound: float, size: Size | None, is_smooth: bool) -> Pixels:
    """Colour indices of a map, enlarged to a size."""
    if size is None:
        return color_indices(relevance, bound)
    if not is_smooth:
        return enlarge_nearest(color_indices(relevance, bound), size)
    share = Image.fromarray(_share(relevance, bound).astype(np.float32))
    return _to_indices(np.asarray(share.resize(size, Image.Resampling.BILINEAR)))


def _share(relevance: Relevance, bound: float) -> Relevance:
    """Relevance as shares of the bound, -1 to 1."""
    if bound == 0:
        return np.zeros(relevance.shape)
    with np.errstate(over="ignore"):  # a tiny bound: infinity is clipped as well
        return np.clip(relevance.astype(np.float64) / bound, -1, 1)


def _to_indices(share: Relevance) -> Pixels:
    indices: Pixels = (CENTER + np.rint(share * CENTER)).astype(np.uint8)
    return indices


def _bar_bound(options: RenderOptions) -> float:
    """The bound of the ramp from 1 to -1; 0, for no colours, where there is no relevance."""
    return float(options.bound > 0)


def _draw_over(grey: Pixels, relevance: Relevance, options: RenderOptions, size: Size) -> Pixels:
    """Blend a grey image, of shape (height, width) or (1, 1), with coloured relevance."""
    if options.overlay_style == "contours":
        codes = _contour_codes(relevance, options, size)
    else:
        codes = _indices(relevance, options.bound, size, is_smooth=options.enlarge != "nearest")
    table = _blend_table(options.cmap, options.overlay_style)
    return table.take(codes.astype(np.intp) * _N_GREYS + grey, axis=0)


def _contour_codes(
    relevance: Relevance, options: RenderOptions, size: Size
) -> NDArray[np.unsignedinteger[Any]]:
    """Opacity of contour lines, 0 to 255, plus 256 where their relevance is positive."""
    share = _share(relevance, options.bound).astype(np.float32)
    for_, against = (contour_mask(sign * share, size) for sign in (1, -1))
    return np.maximum(for_, against) + np.uint16(256) * (for_ > against)


@lru_cache(maxsize=32)  # all of them
def _blend_table(cmap: str, overlay_style: OverlayStyle) -> Pixels:
    """Colours of an overlay by code of the relevance and grey of the image: (codes * greys, 3).

    To look them up takes a fifth of the time that it takes to blend the pixels of a large picture.
    """
    if overlay_style == "contours":
        codes = np.arange(512)
        strength, is_for = (codes % 256).astype(np.float32) / 255, codes >= 256
    else:
        codes = np.arange(2 * CENTER + 1)
        strength = np.abs(codes.astype(np.float32) - CENTER) / CENTER * _OVERLAY_STRENGTH
        is_for = codes > CENTER
    grey = np.arange(_N_GREYS, dtype=np.float32)
    grey += _OVERLAY_LIGHT * (255 - grey)
    # the ends of the map: paler colours and less cover at once would hide weak relevance twice
    color = color_table(cmap)[np.where(is_for, 2 * CENTER, 0)]
    strength = strength[:, None, None]
    mixed = grey[:, None] * (1 - strength) + color[:, None] * strength
    return np.rint(mixed).astype(np.uint8).reshape(-1, 3)
