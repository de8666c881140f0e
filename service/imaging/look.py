"""How relevance is drawn, as a request asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from service.imaging.colormaps import DEFAULT

Enlarge = Literal["nearest", "smooth"]
OverlayStyle = Literal["alpha", "contours"]
Frame = tuple[int, int]


@dataclass(frozen=True)
class Look:
    """How relevance is drawn.

    Attributes
    ----------
    bound : float
        The absolute relevance that gets the full colour; more is clipped. With 0 all is nothing.
    side : int
        The longer side of the picture, in pixels, without its colour bar.
    cmap : str
        A key of `COLORMAPS`.
    frame : tuple of 2 int or None
        Height and width of what the picture is to be as large as: of the image, where the map is
        of a layer that is smaller; None for those of the map.
    enlarge : str or None
        `nearest` makes squares of the pixels of a map, `smooth` interpolates between them; None
        for squares in heatmaps and smooth overlays. Contours are always smooth.
    overlay_style : str
        `alpha` covers the more of the picture, the larger the relevance is; `contours` draws lines
        where it passes the `LEVELS` of `service.imaging.contours`.
    color_bar : bool
        Whether a colour bar with its scale stands beside the picture.
    """

    bound: float
    side: int
    cmap: str = DEFAULT
    frame: Frame | None = None
    enlarge: Enlarge | None = None
    overlay_style: OverlayStyle = "alpha"
    color_bar: bool = False

    def size(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Width and height of the picture of a map of shape (H, W), in pixels."""
        height, width = self.frame or shape
        longer = max(height, width)
        return max(1, round(width * self.side / longer)), max(1, round(height * self.side / longer))
