"""Findings about one explanation of one image. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

Curve = tuple[float, ...]  # log-odds of what is explained, at each share that is hidden


@dataclass(frozen=True)
class Findings:
    """What happens to the score that is explained when pixels are hidden, and to the map in noise.

    Attributes
    ----------
    patch : int
        Side of the squares that are hidden, in pixels of the network's input.
    hidden : tuple of float
        Shares of the squares that are hidden, from 0 to 1.
    most_relevant_first, least_relevant_first : tuple of float
        Log-odds of the target (against the contrast, if there is one) at each share.
    random : tuple of tuple of float
        Likewise for each random order.
    has_order : bool
        Whether any square is more relevant than another.
    similarities : tuple of float
        Correlation of the map with that of each noisy copy of the image; none where a map is
        constant.
    n_forwards : int
        Forward passes that the findings about all targets of the image took together.
    """

    patch: int
    hidden: Curve
    most_relevant_first: Curve
    least_relevant_first: Curve
    random: tuple[Curve, ...]
    has_order: bool
    similarities: tuple[float, ...]
    n_forwards: int
