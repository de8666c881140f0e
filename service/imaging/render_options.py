"""Options of a rendered heatmap or overlay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from service.imaging.colormaps import DEFAULT

Enlarge = Literal["nearest", "smooth"]
OverlayStyle = Literal["alpha", "contours"]


@dataclass(frozen=True)
class RenderOptions:
    """How relevance is rendered.

    Attributes
    ----------
    bound : float
        The absolute relevance that gets the full colour; larger values are clipped. With 0 the
        picture shows no relevance.
    side : int
        The longer side of the picture, in pixels, without its colour bar.
    cmap : str
        A key of `COLORMAPS`.
    image_size : tuple of 2 int or None
        Height and width of the network's input, whose aspect ratio the picture takes: a layer's map
        may be smaller and of another one. None for the aspect ratio of the map.
    enlarge : str or None
        `nearest` draws each value of a map as a square, `smooth` interpolates between values; None
        for squares in heatmaps and smooth overlays. Contours are always smooth.
    overlay_style : str
        `alpha` covers more of the image the larger the relevance is; `contours` draws lines of
        equal relevance at the `LEVELS` of `service.imaging.contours`.
    color_bar : bool
        Whether a colour bar with its scale stands beside the picture.
    """

    bound: float
    side: int
    cmap: str = DEFAULT
    image_size: tuple[int, int] | None = None
    enlarge: Enlarge | None = None
    overlay_style: OverlayStyle = "alpha"
    color_bar: bool = False

    def output_size(self, map_shape: tuple[int, ...]) -> tuple[int, int]:
        """Width and height of the picture of a map of shape (H, W), in pixels."""
        return scaled_size(self.image_size or map_shape, self.side)


def scaled_size(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    """Width and height of a picture of shape (H, W) whose longer side becomes `side`, in pixels."""
    height, width = shape
    longer = max(height, width)
    return max(1, round(width * side / longer)), max(1, round(height * side / longer))
