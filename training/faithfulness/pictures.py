"""Pictures of mean curves: the most and the least relevant patches first, by fill and patch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from service.evaluation.perturbed import Curves
from service.evidence.fills import FILLS
from training.faithfulness.experiment import SETTINGS, SIDES
from training.faithfulness.store import Store
from training.faithfulness.summary import curves_of

_DPI = 80
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")  # Okabe and Ito
_RANDOM = "#555555"


def draw_curves(store: Store, methods: Sequence[str], path: Path) -> None:
    """Draw a panel for each fill and patch; solid is most relevant first, dashed least.

    Parameters
    ----------
    store : Store
        The results.
    methods : sequence of str
        At most five, besides the random map.
    path : Path
        A PNG.
    """
    figure = Figure(figsize=(11, 2.6 * len(FILLS)), layout="constrained")
    panels = figure.subplots(len(FILLS), len(SIDES), sharex=True, sharey=True)
    for axes, setting in zip(panels.flat, SETTINGS.values(), strict=True):
        _draw_panel(axes, {method: curves_of(store, method, setting) for method in methods})
        _draw_random(axes, curves_of(store, "random", setting))
        side = f"{setting.side}×{setting.side}" if setting.side > 1 else "single pixels"
        axes.set_title(f"{setting.fill}, {side}", fontsize=9)
        axes.set_ylim(0, 1)
        axes.grid(alpha=0.3)
    for axes in panels[-1]:
        axes.set_xlabel("hidden share")
    for axes in panels[:, 0]:
        axes.set_ylabel("probability")
    handles, labels = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=9)
    figure.savefig(path, dpi=_DPI)


def _draw_panel(axes: Axes, curves: dict[str, Curves | None]) -> None:
    for color, (method, one) in zip(_COLORS, curves.items(), strict=False):
        if one is not None:
            axes.plot(one.shares, one.morf.mean(0), color=color, label=method)
            axes.plot(one.shares, one.lerf.mean(0), color=color, linestyle="--")


def _draw_random(axes: Axes, curves: Curves | None) -> None:
    if curves is not None:
        axes.plot(curves.shares, curves.morf.mean(0), color=_RANDOM, linestyle=":", label="random")
