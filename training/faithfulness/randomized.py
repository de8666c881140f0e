"""How maps change while the network's weights are randomized, layer by layer from the top."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from service.evaluation.candidates import Candidate
from service.evidence.intervals import Interval, bootstrap
from service.evidence.randomization import layer_names
from service.runtime.engine import Engine
from training.faithfulness.experiment import name_of
from training.faithfulness.extras import RANDOMIZED
from training.faithfulness.store import Store

_DIGITS = 4
_SHOWN = {"rank": "signed", "absolute_rank": "absolute"}
Found = Mapping[str, Mapping[str, Sequence[Interval]]]  # by method and measure, for each layer


def write_randomized(
    engine: Engine, store: Store, methods: Sequence[Candidate | str], out: Path
) -> None:
    """Write `randomized.json` and `randomized.md`, of the methods that have been measured."""
    found: dict[str, dict[str, list[Interval]]] = {}
    for method in map(name_of, methods):
        kept = store.read_all(method, RANDOMIZED)
        if kept is not None:
            found[method] = {
                measure: [bootstrap(torch.from_numpy(of_layer)) for of_layer in values.T]
                for measure, values in kept.items()
            }
    if not found:
        return
    layers = layer_names(engine.explainer.network.module)
    content = {
        "layers": layers,
        "methods": {
            method: {measure: list(map(_rounded, of_layers)) for measure, of_layers in one.items()}
            for method, one in found.items()
        },
    }
    (out / "randomized.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    (out / "randomized.md").write_text(randomized_table(layers, found), encoding="utf-8")


def randomized_table(layers: Sequence[str], found: Found) -> str:
    """Mean rank correlations as Markdown tables, of the signed and of the absolute maps.

    Parameters
    ----------
    layers : sequence of str
        From the top: each one is random in its column and in those to the right.
    found : mapping
        By method and measure, an interval for each layer.
    """
    return "\n".join(_table(title, measure, layers, found) for measure, title in _SHOWN.items())


def _table(title: str, measure: str, layers: Sequence[str], found: Found) -> str:
    names = " | ".join(f"`{layer}`" for layer in layers)
    lines = [
        f"| {title} map, random from | {names} | n |",
        f"| --- | {'--- | ' * len(layers)}--- |",
    ]
    for method, by_measure in found.items():
        means = " | ".join(f"{one.mean:.2f}" for one in by_measure[measure])
        lines.append(f"| `{method}` | {means} | {by_measure[measure][0].n} |")
    return "\n".join(lines) + "\n"


def _rounded(interval: Interval) -> dict[str, float]:
    return {key: round(value, _DIGITS) for key, value in asdict(interval).items()}
