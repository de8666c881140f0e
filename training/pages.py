"""Pages of a report, drawn with matplotlib: red is for, blue against, white zero."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray
from PIL import Image

from service.imaging.render import overlay_png, own_bound
from service.imaging.render_options import RenderOptions
from training.layers import LayerRelevance

CMAP = "bwr"
DPI = 110
OVERLAY_SIDE = 256


@dataclass(frozen=True)
class Example:
    """An image with the explanation of its predicted class.

    Attributes
    ----------
    pixels : NDArray[uint8]
        RGB, shape (H, W, 3).
    relevance : NDArray[float32]
        Summed over the channels, shape (H, W).
    number : int
        Index in the test split.
    true_label, predicted_label : str
        True and predicted class.
    probability : float
        Of the predicted class, 0 to 1.
    conservation : float
        Sum of the input's relevance over the output relevance.
    """

    pixels: NDArray[np.uint8]
    relevance: NDArray[np.float32]
    number: int
    true_label: str
    predicted_label: str
    probability: float
    conservation: float

    @property
    def is_right(self) -> bool:
        """Whether the prediction is right."""
        return self.true_label == self.predicted_label


def draw_examples(label: str, examples: list[Example], path: Path) -> None:
    """Draw a page of a class: image, heatmap and overlay of each example, on one scale."""
    bound = max(own_bound(example.relevance) for example in examples)
    figure = Figure(figsize=(9, 3.1 * len(examples) + 1), layout="constrained")
    figure.suptitle(
        f"{label}: the first right and wrong predictions in the order of the test images\n"
        f"relevance for the predicted class; the full colour is {bound:.4f} in every row",
        fontsize=12,
    )
    grid = figure.subplots(len(examples), 3, squeeze=False)
    heatmaps = [_draw_example(row, e, bound) for row, e in zip(grid, examples, strict=True)]
    bar = figure.colorbar(heatmaps[0], ax=grid, shrink=0.6, aspect=35)
    bar.set_label("relevance: red speaks for the class, blue against it")
    figure.savefig(path, dpi=DPI)


def _draw_example(row: NDArray[np.object_], example: Example, bound: float) -> AxesImage:
    image_axes, heatmap_axes, overlay_axes = row
    for axes in row:
        axes.set(xticks=[], yticks=[])
    verdict = "right" if example.is_right else "WRONG"
    image_axes.imshow(example.pixels)
    image_axes.set_title(f"{verdict}: {example.predicted_label}, p = {example.probability:.3f}")
    image_axes.set_xlabel(f"test image {example.number}, true class: {example.true_label}")
    heatmap: AxesImage = _show_relevance(heatmap_axes, example.relevance, bound)
    heatmap_axes.set_title("heatmap")
    heatmap_axes.set_xlabel(f"conserved: {example.conservation:.3f}")
    overlay_axes.imshow(_overlay(example, bound))
    overlay_axes.set_title("overlay")
    return heatmap


def draw_layers(
    label: str,
    number: int,
    pixels: NDArray[np.uint8],
    layers: list[LayerRelevance],
    path: Path,
) -> None:
    """Draw the relevance at each layer: its sum, and its map."""
    spatial = [layer for layer in layers if layer.map is not None]
    figure = Figure(figsize=(2.1 * (len(spatial) + 1), 6.4), layout="constrained")
    figure.suptitle(
        f"{label} (test image {number}): relevance at the output of each layer, from the "
        "predicted class (1) down to the pixels"
    )
    halves = figure.subfigures(2, 1, squeeze=False, height_ratios=[1.3, 1])
    _draw_totals(halves[0, 0].subplots(), layers)
    axes = halves[1, 0].subplots(1, len(spatial) + 1)
    for layer, layer_axes in zip(spatial, axes, strict=False):
        _draw_map(layer_axes, layer)
    axes[-1].imshow(pixels)
    axes[-1].set(title="image", xticks=[], yticks=[])
    figure.savefig(path, dpi=DPI)


def _draw_totals(axes: Axes, layers: list[LayerRelevance]) -> None:
    totals = [layer.total for layer in layers]
    colors = ["tab:red" if total >= 0 else "tab:blue" for total in totals]
    bars = axes.bar([layer.name for layer in layers], totals, color=colors)
    axes.bar_label(bars, fmt="%.3f", fontsize=9)
    axes.axhline(1, color="grey", linewidth=0.8, linestyle="--")
    axes.margins(y=0.12)
    axes.set_ylabel("sum of relevance")
    axes.set_title(
        "the difference from 1 was absorbed, or added, by biases and stabilizers", fontsize=10
    )


def _draw_map(axes: Axes, layer: LayerRelevance) -> None:
    if layer.map is None:
        return
    bound = own_bound(layer.map)
    heatmap = _show_relevance(axes, layer.map, bound)
    axes.set(xticks=[], yticks=[])
    axes.set_title(layer.name, fontsize=10)
    axes.set_xlabel("x".join(str(side) for side in layer.map.shape))
    figure = axes.get_figure()
    if figure is not None:
        bar = figure.colorbar(heatmap, ax=axes, orientation="horizontal", shrink=0.9)
        bar.set_ticks([-bound, 0, bound], labels=[f"{-bound:.2g}", "0", f"{bound:.2g}"])


def _show_relevance(axes: Axes, relevance: NDArray[np.float32], bound: float) -> AxesImage:
    limit = bound or 1.0  # a map of nothing is white on any scale
    return axes.imshow(relevance, cmap=CMAP, vmin=-limit, vmax=limit)


def _overlay(example: Example, bound: float) -> NDArray[np.uint8]:
    picture = Image.fromarray(example.pixels)
    content = overlay_png(example.relevance, RenderOptions(bound, OVERLAY_SIDE, CMAP), picture)
    return np.asarray(Image.open(io.BytesIO(content)))
