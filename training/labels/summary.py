"""The result of the check with shuffled labels: a JSON file and a table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from service.evidence.baselines import BASELINES
from service.evidence.intervals import Interval
from training.config import Recipe
from training.hardware import describe_hardware, library_versions
from training.labels.maps import MEASURES, PAIRS, Comparison
from training.labels.networks import Role, Trained

RESULT, TABLE = "labels.json", "labels.md"
_DIGITS = 4


def write_results(
    comparisons: Mapping[str, Comparison],
    networks: Mapping[Role, Trained],
    settings: Mapping[str, Any],
    recipe: Recipe,
    device: torch.device,
    out: Path,
) -> None:
    """Write `labels.json` and `labels.md`.

    Parameters
    ----------
    comparisons : mapping of str to Comparison
        By method or baseline.
    networks : mapping of Role to Trained
        Their accuracies are in the result.
    settings, recipe, device
        How it was measured.
    out : Path
        The folder.
    """
    content = {
        "settings": {**settings, "recipe": asdict(recipe)},
        "hardware": describe_hardware(device),
        "versions": library_versions(),
        "measured_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "networks": {role.name: _network(role, one) for role, one in networks.items()},
        "baselines": [name for name in comparisons if name in BASELINES],
        "methods": {name: _method(one) for name, one in comparisons.items()},
    }
    (out / RESULT).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    (out / TABLE).write_text(table(comparisons), encoding="utf-8")


def table(comparisons: Mapping[str, Comparison]) -> str:
    """A Markdown table, the method that tells labels apart best first.

    For each measure the similarity of each pair of networks, and how far it falls.
    """
    ranked = sorted(comparisons.items(), key=lambda item: -item[1].falls["signed"].mean)
    titles = [f"{measure}: {', '.join(PAIRS)} | fall" for measure in MEASURES]
    lines = [
        f"| method | {' | '.join(titles)} | n |",
        f"| --- | {'--- | --- | ' * len(MEASURES)}--- |",
    ]
    for name, one in ranked:
        title = f"*{name}*" if name in BASELINES else f"`{name}`"
        cells = " | ".join(_cells(one, measure) for measure in MEASURES)
        lines.append(f"| {title} | {cells} | {one.falls['signed'].n} |")
    return "\n".join(lines) + "\n"


def _cells(one: Comparison, measure: str) -> str:
    means = ", ".join(f"{one.pairs[pair][measure].mean:.2f}" for pair in PAIRS)
    fall = one.falls[measure]
    return f"{means} | {fall.mean:.2f} [{fall.low:.2f}, {fall.high:.2f}]"


def _network(role: Role, one: Trained) -> dict[str, Any]:
    card = one.bundle.card
    return {
        **asdict(role),
        "accuracy": {
            "training images": round(one.learned, _DIGITS),
            **{split: round(found.accuracy, _DIGITS) for split, found in card.accuracy.items()},
        },
        "sha256": card.sha256,
    }


def _method(one: Comparison) -> dict[str, Any]:
    return {
        "pairs": {pair: _intervals(found) for pair, found in one.pairs.items()},
        "falls": _intervals(one.falls),
        "tells_labels_by": one.telling,
    }


def _intervals(found: Mapping[str, Interval]) -> dict[str, Any]:
    return {
        name: {
            key: round(value, _DIGITS) if isinstance(value, float) else value
            for key, value in asdict(interval).items()
        }
        for name, interval in found.items()
    }
