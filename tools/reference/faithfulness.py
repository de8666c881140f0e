"""Tables of faithfulness of the network that is included, from the results beside the page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tools.reference.evidence import ranked, shown, split_start
from tools.reference.markdown import table

RESULT = Path("docs", "evidence", "faithfulness.json")
DEFAULT, RANDOM = "epsilon_plus_flat", "random"
_CURVES = ("deletion", "insertion", "gap")
_FILLS = {"mean": "mean colour", "blur": "blur", "linear": "linear imputation (ROAD)"}
_SIDES = (1, 2, 4, 8)
_MORE = (
    "faithfulness correlation",
    "sensitivity",
    "other class",
    "either sign",
    "contrast",
    "completeness gap",
    "sparseness",
)
_SHORT = {
    DEFAULT: "the default",
    "edges": "edge detector",
    RANDOM: "random map",
    "none": "gradient",
}
Scores = Mapping[str, Any]  # mean, low, high and n by measure


def methods(root: Path) -> str:
    """Curves of every method in the setting that decides, the best first."""
    found = _read(root)
    _, setting = found["decided_by"].split()
    chosen = {
        name: {curve: scores[f"{curve} {setting}"] for curve in _CURVES}
        for name, scores in found["methods"].items()
    }
    rows = [
        [
            _title(name, found["baselines"]),
            f"{row['gap']['n']:,}",
            *(_full(row[curve]) for curve in reversed(_CURVES)),
        ]
        for name, row in ranked(chosen)
    ]
    head = ["gap", "least relevant first (insertion)", "most relevant first (deletion)"]
    return table(["method", "n", *head], rows)


def settings(root: Path) -> str:
    """What fill and patches change: the default method, the baselines, and the best method."""
    scores = _read(root)["methods"]
    rows = []
    for name, title in _settings():
        if f"gap {name}" not in scores[DEFAULT]:
            continue
        deletion, gap = f"deletion {name}", f"gap {name}"
        measured = [method for method, row in scores.items() if gap in row]
        best = max(measured, key=lambda method: float(scores[method][gap]["mean"]))
        margin = scores[RANDOM][deletion]["mean"] - scores[DEFAULT][deletion]["mean"]
        rows.append(
            [
                title,
                *(_full(scores[method][deletion]) for method in (DEFAULT, RANDOM)),
                f"{margin:.2f}",
                *(_full(scores[method][gap]) for method in (DEFAULT, "edges", "gaussian")),
                f"`{best}`: {scores[best][gap]['mean']:.2f}",
            ]
        )
    deletions = ["deletion, default", "deletion, random", "margin"]
    gaps = ["gap, default", "gap, edges", "gap, Gaussian", "the highest gap"]
    return table(["fill and patch", *deletions, *gaps], rows)


def more_measures(root: Path) -> str:
    """The measures besides the curves; methods are in the order of the gap."""
    found = _read(root)
    rows = [
        [
            _title(shown(*split_start(name)), ()),
            *(_full(scores[one]) if one in scores else "" for one in _MORE),
        ]
        for name, scores in found["methods"].items()
        if set(_MORE) & set(scores)
    ]
    return table(["method", *_MORE], rows)


def shortest(root: Path) -> str:
    """The gap of the best method, the default and three that show what it is worth."""
    found = _read(root)
    scores = {name: row[found["decided_by"]] for name, row in found["methods"].items()}
    best = max(scores, key=lambda name: float(scores[name]["mean"]))
    chosen = {best: f"`{best}`", **_SHORT} if best != DEFAULT else _SHORT
    head = [f"`{DEFAULT}`, {title}" if name == DEFAULT else title for name, title in chosen.items()]
    return table(head, [[_short(scores[name]) for name in chosen]])


def _settings() -> list[tuple[str, str]]:
    return [
        (f"{fill}-{side}", f"{title}, {f'{side}x{side}' if side > 1 else 'single pixels'}")
        for fill, title in _FILLS.items()
        for side in _SIDES
    ]


def _title(name: str, baselines: object) -> str:
    if isinstance(baselines, list) and name in baselines:
        return f"*{name}*"
    method, *start = name.split(", ")
    return ", ".join([f"`{method}`", *start])


def _full(score: Scores) -> str:
    return f"{score['mean']:.3f} [{score['low']:.3f}, {score['high']:.3f}]"


def _short(score: Scores) -> str:
    return f"{score['mean']:.2f} [{score['low']:.2f}, {score['high']:.2f}]"


def _read(root: Path) -> Any:
    return json.loads((root / RESULT).read_text(encoding="utf-8"))["evidence"]
