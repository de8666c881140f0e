"""Pictures of the claims, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from service.evidence.baselines import BASELINES
from service.evidence.curves import probability
from service.evidence.orders import most_relevant_first
from service.evidence.patches import PatchGrid
from service.imaging.render import own_bound
from training.claims.backgrounds import swap
from training.claims.focus import PATCH_SIDE, Parts
from training.claims.measured import Measured
from training.claims.pasting import Cutouts
from training.claims.sample import Sample
from training.claims.subject import Subject

DPI = 90
_CONTROLS = ("area", "random", "edges", "gaussian", "another image", "untrained")
_COLORS = ("tab:red", "tab:blue", "tab:green", "tab:purple", "tab:orange", "tab:brown")


def draw_all(subject: Subject, sample: Sample, networks: Sequence[Measured], out: Path) -> None:
    """Draw the page of each claim; examples are of one network, numbers of all."""
    shown = _one_of_each_class(sample)
    _draw_focus(subject, sample, shown, networks, out / "claim-1.png")
    _draw_backgrounds(subject, sample, shown, networks, out / "claim-2.png")
    draw_depth(networks, out / "claim-3.png")


def _one_of_each_class(sample: Sample) -> list[int]:
    """The first image of each class: none is chosen."""
    return [int((sample.labels == one).nonzero()[0]) for one in sample.labels.unique()]


def _draw_focus(
    subject: Subject, sample: Sample, shown: list[int], networks: Sequence[Measured], path: Path
) -> None:
    """Images with the outline of the object, heatmaps, and the reddest or random quarter hidden."""
    figure = Figure(figsize=(1.6 * len(shown), 10), layout="constrained")
    upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=[2.2, 1]).flat
    grid = upper.subplots(4, len(shown), squeeze=False)
    pixels, masks = sample.pixels[shown], sample.masks[shown]
    maps = subject.explain(pixels)
    targets = torch.from_numpy(maps.targets)
    images = subject.normalize(pixels)
    parts = Parts(subject.logits, images, targets, masks)
    height, width = images.shape[2:]
    patches = PatchGrid(height, width, PATCH_SIDE)
    noise = BASELINES["random"](images)
    red, random = (
        parts.hide(most_relevant_first(patches, one))
        for one in (torch.from_numpy(maps.relevance), noise)
    )
    rows = (
        ("image, object outlined", images), ("relevance", None),
        ("reddest quarter hidden", red), ("random quarter hidden", random),
    )  # fmt: skip
    for axes, (name, row) in zip(grid, rows, strict=True):
        if row is None:
            _show_maps(axes, maps.relevance)
        else:
            _show_row(axes, subject, row, targets)
        _label(axes[0], name)
    for axes, mask in zip(grid[0], masks, strict=True):
        axes.contour(mask.float().numpy(), [0.5], colors="magenta", linewidths=1)
    left, right = lower.subplots(1, 2)
    names = ["mass", *(f"mass of {one}" if one != "area" else one for one in _CONTROLS)]
    _draw_bars(left, networks, names, ("relevance", *_CONTROLS), "positive relevance on the object")
    hidden = ("reddest", "edges", "random", "palest")
    _draw_bars(
        right, networks, ["probability", *(f"hidden: {one}" for one in hidden)],
        ("nothing", *hidden), "probability of the class, a quarter of the object hidden",
    )  # fmt: skip
    figure.savefig(path, dpi=DPI)


def _draw_backgrounds(
    subject: Subject, sample: Sample, shown: list[int], networks: Sequence[Measured], path: Path
) -> None:
    """Whole images, the background alone, and objects on another background, with predictions."""
    figure = Figure(figsize=(1.6 * len(shown), 10), layout="constrained")
    upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=[2.2, 1]).flat
    grid = upper.subplots(4, len(shown), squeeze=False)
    images = subject.normalize(sample.pixels)
    cutouts = Cutouts(images, sample.masks)
    alone = cutouts.background
    pasted = swap(subject, sample, cutouts, same_class=False).pixels[shown]
    maps = subject.explain(pasted)
    rows = (
        ("image", images[shown]), ("background alone", alone[shown]),
        ("on another background", subject.normalize(pasted)), ("its relevance", None),
    )  # fmt: skip
    for axes, (name, row) in zip(grid, rows, strict=True):
        if row is None:
            _show_maps(axes, maps.relevance)
        else:
            _show_row(axes, subject, row, subject.logits(row).argmax(1))
        _label(axes[0], name)
    left, right = lower.subplots(1, 2, width_ratios=[1, 1.4])
    names = [
        "whole image", "same background", "other background", "follows the background",
        "third class", "background alone", "outline alone",
    ]  # fmt: skip
    _draw_bars(left, networks, names, names, "share of the images", rotation=30)
    _draw_classes(right, networks)
    figure.savefig(path, dpi=DPI)


def _draw_classes(axes: Axes, networks: Sequence[Measured]) -> None:
    """Accuracy of the background alone for each class."""
    columns = [one.by_class["background alone"] for one in networks]
    labels = list(columns[0])
    heights = [fmean(column.get(label, 0) for column in columns) for label in labels]
    axes.bar(labels, heights, color="tab:green")
    for column in columns:
        axes.plot(labels, [column.get(label, 0) for label in labels], "k.", markersize=5)
    axes.axhline(1 / len(labels), color="grey", linestyle="--", linewidth=1)
    axes.set_title("true class predicted from the background alone; dashed: chance", fontsize=10)
    axes.tick_params(axis="x", rotation=30)


def draw_depth(networks: Sequence[Measured], path: Path) -> None:
    """Correlations with edges and with the object by depth, with intervals, and the control's."""
    figure = Figure(figsize=(12, 4.5), layout="constrained")
    pairs = (("edges | object", "edges, the object held fixed"),
             ("object | edges", "the object, edges held fixed"))  # fmt: skip
    for axes, (key, title) in zip(figure.subplots(1, 2, sharey=True), pairs, strict=True):
        for network, color in zip(networks, _COLORS * len(networks), strict=False):
            _draw_curve(axes, network, key, color, "-", network.model)
            _draw_curve(axes, network, f"{key} (untrained)", color, ":", "random weights")
        axes.axhline(0, color="grey", linewidth=0.8)
        axes.set_title(f"rank correlation of the relevance with {title}", fontsize=10)
        axes.tick_params(axis="x", rotation=30)
        axes.legend(fontsize=8)
    figure.savefig(path, dpi=DPI)


def _draw_curve(
    axes: Axes, network: Measured, key: str, color: str, style: str, label: str
) -> None:
    layers = [name for name in network.layers if f"{name}: {key}" in network.intervals]
    found = [network.intervals[f"{name}: {key}"] for name in layers]
    axes.plot(layers, [one.mean for one in found], style, color=color, label=label, marker=".")
    low, high = [one.low for one in found], [one.high for one in found]
    axes.fill_between(layers, low, high, color=color, alpha=0.2)


def _draw_bars(
    axes: Axes,
    networks: Sequence[Measured],
    names: Sequence[str],
    labels: Sequence[str],
    title: str,
    rotation: int = 20,
) -> None:
    """Means over the networks of what all have; each error bar is the interval of a network."""
    known = [all(name in one.intervals for one in networks) for name in names]
    names, labels = ([*compress(one, known)] for one in (names, labels))
    heights = [fmean(one.intervals[name].mean for one in networks) for name in names]
    bars = axes.bar(range(len(names)), heights, color="lightsteelblue")
    axes.bar_label(bars, fmt="%.2f", fontsize=8, padding=8)
    for place, network in enumerate(networks):
        shift = 0.15 * (place - (len(networks) - 1) / 2)
        found = [network.intervals[name] for name in names]
        bounds = [[one.mean - one.low for one in found], [one.high - one.mean for one in found]]
        where = np.arange(len(names)) + shift
        axes.errorbar(where, [one.mean for one in found], bounds, fmt="k.", capsize=2)
    axes.set_xticks(range(len(names)), labels, rotation=rotation, ha="right", fontsize=8)
    axes.set_title(title, fontsize=10)
    axes.margins(y=0.15)


def _show_row(row: NDArray[np.object_], subject: Subject, images: Tensor, targets: Tensor) -> None:
    """Show images with the probability of a class each."""
    found = probability(subject.logits(images), targets)
    pixels, labels = (
        subject.to_pixels(images).permute(0, 2, 3, 1).numpy(),
        subject.engine.card.labels,
    )
    for axes, picture, target, share in zip(row, pixels, targets, found, strict=True):
        axes.imshow(picture)
        axes.set_title(f"{labels[int(target)]} {float(share):.2f}", fontsize=9)


def _show_maps(row: NDArray[np.object_], maps: NDArray[np.float32]) -> None:
    for axes, relevance in zip(row, maps, strict=True):
        bound = own_bound(relevance) or 1.0
        axes.imshow(relevance, cmap="bwr", vmin=-bound, vmax=bound)


def _label(axes: Axes, text: str) -> None:
    axes.set_ylabel(text, fontsize=9)
    figure = axes.get_figure()
    for one in figure.axes if figure is not None else ():
        one.set(xticks=[], yticks=[])
