"""A picture of one image: its maps by several methods, a network a row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from service.runtime.jobs import Pixels
from training.labels.networks import ROLES, Role

SHOWN = (
    "epsilon_plus_flat",
    "epsilon_gamma_box",
    "guided_backprop",
    "none",
    "integrated_gradients",
    "edges",
)
_TITLES = {
    "true": "true labels",
    "true-other-seed": "true labels,\nother seed",
    "shuffled": "shuffled labels",
}
_CELL_INCHES, _DPI = 1.2, 80


def draw_maps(
    image: Pixels, maps: Mapping[str, Mapping[Role, Tensor]], title: str, path: Path
) -> None:
    """Draw maps of one image, each divided by its largest value.

    Parameters
    ----------
    image : NDArray[uint8]
        RGB, shape (H, W, 3).
    maps : mapping of str to mapping of Role to Tensor
        By method and network, of shape (H, W).
    title : str
        Says what is explained.
    path : Path
        A PNG.
    """
    width = _CELL_INCHES * (len(maps) + 1)
    figure = Figure(figsize=(width, _CELL_INCHES * len(ROLES) + 0.6), layout="constrained")
    grid = figure.subplots(len(ROLES), len(maps) + 1, squeeze=False)
    for role, axes in zip(ROLES, grid, strict=True):
        axes[0].imshow(image)
        axes[0].set_ylabel(_TITLES[role.name], fontsize=7)
        for cell, (name, of_method) in zip(axes[1:], maps.items(), strict=True):
            _draw_map(cell, of_method[role])
            if role is ROLES[0]:
                cell.set_title(name.replace("_", " ", 1).replace("_", "\n", 1), fontsize=7)
    for cell in grid.flat:
        cell.set(xticks=[], yticks=[])
    figure.suptitle(title, fontsize=8)
    figure.savefig(path, dpi=_DPI)


def _draw_map(cell: Axes, relevance: Tensor) -> None:
    values = relevance.numpy()
    bound = float(np.abs(values).max()) or 1.0
    cell.imshow(values, cmap="bwr", vmin=-bound, vmax=bound)
