"""Results of a run as means with bootstrap intervals: a JSON, a table, and what a card keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from service.evaluation.candidates import Candidate
from service.evaluation.comparison import compare
from service.evaluation.kept import score_of
from service.evaluation.perturbed import DECISIVE, Curves, Setting
from service.evaluation.versions import library_versions
from service.evidence.baselines import BASELINES
from service.models.evidence import Evidence, Measure, Score
from service.runtime.engine import Engine
from training.faithfulness.experiment import SETTINGS, name_of
from training.faithfulness.extras import EXTRA_MEASURES, EXTRAS
from training.faithfulness.store import Store
from training.hardware import describe_hardware

RESULT = "faithfulness.json"
_MEASURES = ("gap", "deletion", "insertion")
_TEXTS = {
    "gap": ("Area between the curves with the least and with the most relevant first", True),
    "deletion": ("Mean probability of the class, the most relevant patches hidden first", False),
    "insertion": ("Mean probability of the class, the least relevant patches hidden first", True),
}
_FILL_TEXTS = {
    "blur": "behind a blur",
    "mean": "behind the mean colour",
    "linear": "by noisy linear imputation (ROAD)",
}


def curves_of(store: Store, method: str, setting: Setting) -> Curves | None:
    """The curves of a method, of all images that were measured."""
    found = store.read_all(method, setting.name)
    if found is None:
        return None
    shares = (0.0, *setting.shares, 1.0)
    return Curves(torch.from_numpy(found["morf"]), torch.from_numpy(found["lerf"]), shares)


def scores_of(store: Store, method: str) -> dict[str, Score]:
    """Every measure of a method that has a mean."""
    scores = {}
    for name, setting in SETTINGS.items():
        if (curves := curves_of(store, method, setting)) is not None:
            for measure in _MEASURES:
                scores[f"{measure} {name}"] = score_of(getattr(curves, measure))
    for measure, values in (store.read_all(method, EXTRAS) or {}).items():
        if np.isfinite(values).all():  # what is relative to a map of zeros alone is infinite
            scores[measure] = score_of(torch.from_numpy(values))
    return scores


def summarize(
    engine: Engine, store: Store, methods: Sequence[Candidate | str], data: str
) -> Evidence | None:
    """What a card keeps of a run; None before anything of the deciding setting is measured.

    Methods, by falling gap of that setting, are compared on the images that all of them have; a
    score is of all images of its own.
    """
    gaps: dict[str, Tensor] = {}
    for method in methods:
        curves = curves_of(store, name_of(method), DECISIVE)
        if curves is not None:
            gaps[name_of(method)] = curves.gap
    if not gaps:
        return None
    n_common = min(map(len, gaps.values()))
    comparison = compare({name: values[:n_common] for name, values in gaps.items()})
    scores = {name: scores_of(store, name) for name in comparison.names}
    used = {measure for of_method in scores.values() for measure in of_method}
    decided_by = f"gap {DECISIVE.name}"
    first = comparison.names[0]
    return Evidence(
        data=data,
        n=max(map(len, gaps.values())),
        decided_by=decided_by,
        measures={name: text for name, text in _all_measures().items() if name in used},
        methods=scores,
        baselines=tuple(name for name in BASELINES if name in scores),
        best=(first, *comparison.ties_with(first)),
        settings={
            "target": "predicted class",
            "patch_sides": sorted({one.side for one in SETTINGS.values()}),
            "hidden_shares": [*DECISIVE.shares],
            "compared_on": n_common,
        },
        hardware=describe_hardware(engine.device),
        versions=library_versions(),
        measured_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def for_card(evidence: Evidence) -> Evidence:
    """The part that a card keeps, as each list of models has it: all of the setting that decides.

    Of other settings it is the gap alone.
    """
    _, decisive = evidence.decided_by.split()
    kept = {
        name: measure
        for name, measure in evidence.measures.items()
        if name.startswith("gap ") or name in EXTRA_MEASURES or name.endswith(f" {decisive}")
    }
    methods = {
        name: {measure: score for measure, score in scores.items() if measure in kept}
        for name, scores in evidence.methods.items()
    }
    return evidence.model_copy(update={"measures": kept, "methods": methods})


def write_summary(
    evidence: Evidence, store: Store, methods: Sequence[Candidate | str], out: Path
) -> None:
    """Write `faithfulness.json`: the evidence, and the mean curves."""
    curves: dict[str, Any] = {}
    for method in map(name_of, methods):
        found = ((name, curves_of(store, method, one)) for name, one in SETTINGS.items())
        curves[method] = {
            name: {"morf": _mean(one.morf), "lerf": _mean(one.lerf), "n": len(one.morf)}
            for name, one in found
            if one is not None
        }
    content: Mapping[str, Any] = {
        "evidence": evidence.model_dump(),
        "hidden_shares": [0.0, *DECISIVE.shares, 1.0],
        "curves": curves,
    }
    (out / RESULT).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def table(evidence: Evidence, columns: Sequence[str]) -> str:
    """Scores as a Markdown table, a method a row."""
    lines = [
        f"| method | {' | '.join(columns)} | n |",
        f"| --- | {'--- | ' * len(columns)}--- |",
    ]
    for name, scores in evidence.methods.items():
        cells = [_cell(scores.get(column)) for column in columns]
        n = max((score.n for score in scores.values()), default=0)
        title = f"*{name}*" if name in evidence.baselines else f"`{name}`"
        lines.append(f"| {title} | {' | '.join(cells)} | {n:,} |")
    return "\n".join(lines) + "\n"


def _cell(score: Score | None) -> str:
    return "" if score is None else f"{score.mean:.3f} [{score.low:.3f}, {score.high:.3f}]"


def _mean(curve: Tensor) -> list[float]:
    return [round(value, 4) for value in curve.mean(0).tolist()]


def _all_measures() -> dict[str, Measure]:
    of_curves = {
        f"{measure} {name}": Measure(
            text=f"{text}; {one.side}x{one.side} pixels {_FILL_TEXTS[one.fill]}",
            higher_is_better=is_better,
        )
        for name, one in SETTINGS.items()
        for measure, (text, is_better) in _TEXTS.items()
    }
    return {**of_curves, **EXTRA_MEASURES}
