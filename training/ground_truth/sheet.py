"""A sheet of examples: images, the outline of what decides, and maps of several methods."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from service.evaluation.candidates import Candidate, find_candidates
from service.evaluation.explained import explain_maps
from service.runtime.engine import Engine
from service.runtime.jobs import Pixels
from training.ground_truth.questions import Question, ask
from training.ground_truth.variants import explained_scenes

SHOWN = (
    "epsilon_plus_flat",
    "epsilon_plus",
    "epsilon_alpha2_beta1",
    "epsilon_gamma_box",
    "guided_backprop",
    "none",
    "integrated_gradients",
    "occlusion",
)
N_EXAMPLES = 6
_CELL_INCHES, _DPI = 1.1, 80


def draw_sheet(variant: str, engine: Engine, seed: int, path: Path) -> None:
    """Draw the first scenes, chosen by nothing, with the last question that is asked of them."""
    scenes = explained_scenes(variant, seed, N_EXAMPLES)
    pixels, question = scenes.render(), ask(variant, scenes)[-1]
    candidates = [c for c in find_candidates(engine, all_starts=False) if c.name in SHOWN]
    columns = list(_maps(engine, candidates, pixels, question))
    width, height = _CELL_INCHES * (len(columns) + 1), _CELL_INCHES * N_EXAMPLES + 0.6
    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.subplots(N_EXAMPLES, len(columns) + 1, squeeze=False)
    for row, axes in enumerate(grid):
        axes[0].imshow(pixels[row])
        _outline(axes[0], question, row)
        for cell, (name, maps) in zip(axes[1:], columns, strict=True):
            bound = float(np.abs(maps[row]).max()) or 1.0
            cell.imshow(maps[row], cmap="bwr", vmin=-bound, vmax=bound)
            _outline(cell, question, row)
            if row == 0:
                cell.set_title(name.replace("_", " ", 1).replace("_", "\n", 1), fontsize=7)
    for cell in grid.flat:
        cell.set(xticks=[], yticks=[])
    figure.savefig(path, dpi=_DPI)


def _maps(
    engine: Engine, candidates: list[Candidate], pixels: Pixels, question: Question
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    for one in candidates:
        found = explain_maps(
            *(engine, pixels, one.method, question.targets, one.start),
            contrasts=question.contrasts,
        )
        yield one.name, found.relevance


def _outline(axes: Axes, question: Question, row: int) -> None:
    """Outline where positive relevance has to lie in black, negative in green."""
    axes.contour(question.positive[row], [0.5], colors="black", linewidths=0.8)
    if question.negative is not None:
        axes.contour(question.negative[row], [0.5], colors="green", linewidths=0.8)
