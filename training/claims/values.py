"""What is measured of each image, and its mean over images with an interval."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from service.evidence.intervals import Interval, bootstrap

Values = dict[str, Tensor]  # of each measure, shape (N,); NaN where an image has none
Intervals = dict[str, Interval]
MIN_IMAGES = 10  # an interval of fewer says nothing


def summarize(values: Mapping[str, Tensor], where: Tensor | None = None) -> Intervals:
    """Means with bootstrap intervals over the images that have a value.

    Parameters
    ----------
    values : mapping of str to Tensor
        Of each measure, shape (N,).
    where : Tensor, optional
        The images that count, bool of shape (N,); all by default.

    Returns
    -------
    dict of str to Interval
        Without the measures that fewer than `MIN_IMAGES` images have.
    """
    found: Intervals = {}
    for name, column in values.items():
        kept = column if where is None else column[where]
        kept = kept[kept.isfinite()]
        if len(kept) >= MIN_IMAGES:
            found[name] = bootstrap(kept)
    return found


def without(column: Tensor, is_missing: Tensor) -> Tensor:
    """Values as float64, NaN where they are missing."""
    return torch.where(is_missing, torch.nan, column.double())
