"""Tables of evidence, from the results that are kept beside the page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.reference.markdown import table

GROUND_TRUTH = Path("docs", "evidence", "ground-truth.json")
_METRICS = ("pointing", "mass", "rank")
_OTHER_QUESTIONS = {
    "shapes/class": "one object",
    "two/class": "two objects, one of their classes",
    "two/contrast": "two objects, one class against the other",
}
_PLANTED = {
    "planted-corner/class": "convolution that reads a corner",
    "planted-linear/class": "linear layer that reads a corner",
    "planted-detector/class": "detector of patterns",
    "planted-detector/contrast": "detector, one class against another",
}
_START_NAMES = ("logit", "one_hot")
Row = Mapping[str, Mapping[str, Any]]  # by metric: mean, low, high, n, seeds


def networks(root: Path) -> str:
    """Accuracy and controls of the networks that were trained on the ground truth."""
    rows = []
    for variant, runs in _read(root)["networks"].items():
        trained = [run for run in runs if "accuracy" in run]
        if trained:
            rows.append(
                [
                    f"`{variant}`",
                    _shares(run["accuracy"] for run in trained),
                    "; ".join(
                        f"{name}: {_shares(run['controls'][name] for run in trained)}"
                        for name in trained[0]["controls"]
                    ),
                    _shares(run["n_always"] / run["n_controls"] for run in trained),
                ]
            )
    return table(["images", "accuracy", "answers as it has to, %", "all of them, %"], rows)


def deciding_object(root: Path) -> str:
    """Scores of every method on the object that decides, with intervals and spread."""
    methods = _read(root)["questions"]["marked/class"]
    rows = [
        [name, str(row["rank"]["n"]), *map(_full, _values(row))] for name, row in ranked(methods)
    ]
    return table(["method", "n", *_METRICS], rows)


def other_questions(root: Path) -> str:
    """Means of the scores on the other questions that networks were trained for."""
    return means(_read(root)["questions"], _OTHER_QUESTIONS)


def planted(root: Path) -> str:
    """Means of the scores on networks with planted weights."""
    return means(_read(root)["questions"], _PLANTED)


def means(questions: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    """Means of the scores of every method, a column for each question that was asked."""
    present = [name for name in titles if name in questions]
    merged = {
        method: {
            (name, metric): questions[name][method][metric]
            for name in present
            for metric in _METRICS
        }
        for method in questions[present[0]]
        if all(method in questions[name] for name in present)
    }
    rows = [
        [
            method,
            *(
                " / ".join(_percent(row[name, metric]["mean"]) for metric in _METRICS)
                for name in present
            ),
        ]
        for method, row in ranked(merged)
    ]
    return table(["method", *(titles[name] for name in present)], rows)


def ranked(methods: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Best first by the last score; both starts are one row where their scores are the same."""
    ranked = sorted(methods, key=lambda name: -list(methods[name].values())[-1]["mean"])
    hidden = set()
    for name in ranked:
        base, start = split_start(name)
        twins = [other for other in ranked if other != name and split_start(other)[0] == base]
        same = [other for other in twins if _means_of(methods[other]) == _means_of(methods[name])]
        if name not in hidden:
            hidden.update(same)
            yield (f"{base}, either start" if same else shown(base, start)), methods[name]


def split_start(name: str) -> tuple[str, str]:
    """A method's name without its start, and the start."""
    for start in _START_NAMES:
        for ending in (f" ({start})", f", {start})"):
            if name.endswith(ending):
                return name.removesuffix(ending) + (")" if "," in ending else ""), start
    return name, ""


def shown(base: str, start: str) -> str:
    """A method's name with its start, as tables have it."""
    return f"{base}, start `{start}`" if start else base


def _means_of(row: Mapping[Any, Mapping[str, Any]]) -> list[str]:
    return [_percent(value["mean"]) for value in row.values()]


def _values(row: Row) -> Sequence[Mapping[str, Any]]:
    return [row[metric] for metric in _METRICS]


def _full(value: Mapping[str, Any]) -> str:
    text = f"{_percent(value['mean'])} [{_percent(value['low'])}, {_percent(value['high'])}]"
    if len(value["seeds"]) < 2:
        return text
    low, high = min(value["seeds"]), max(value["seeds"])
    return f"{text}, seeds {_percent(low)} to {_percent(high)}"


def _shares(values: Iterable[float]) -> str:
    return ", ".join(f"{100 * value:.1f}" for value in values)


def _percent(share: float) -> str:
    return f"{100 * share:.0f}"


def _read(root: Path) -> Any:
    return json.loads((root / GROUND_TRUTH).read_text(encoding="utf-8"))
