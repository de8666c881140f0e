"""Results of several networks as means with bootstrap intervals, and the spread of the seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from service.evidence.intervals import bootstrap
from training.ground_truth.questions import METRICS
from training.ground_truth.scores import Sizes
from training.hardware import describe_hardware, library_versions

RESULTS = "ground-truth.json"
_DIGITS = 4
_LONG = ("scores", "known")  # a value for each image
Run = Mapping[str, Any]  # what `measure_methods` returns, with `seed` and `accuracy`


def summarize(
    runs: Mapping[str, Sequence[Run]], sizes: Sizes, device: torch.device
) -> dict[str, Any]:
    """Summarize the runs of each variant.

    Returns
    -------
    dict of str to Any
        `provenance`; `networks`: accuracy and controls of each; `questions`: by variant and
        question, method and metric, `mean`, `low` and `high` of the images of all seeds together,
        their number `n`, and the mean of each seed.
    """
    return {
        "provenance": {
            "sizes": asdict(sizes),
            "hardware": describe_hardware(device),
            "versions": library_versions(),
            "measured_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
        "networks": {
            variant: [{key: run[key] for key in run if key not in _LONG} for run in of_variant]
            for variant, of_variant in runs.items()
        },
        "questions": {
            f"{variant}/{question}": summarize_question(
                [run["scores"][question] for run in of_variant]
            )
            for variant, of_variant in runs.items()
            for question in of_variant[0]["scores"]
        },
    }


def write_summary(summary: Mapping[str, Any], folder: Path) -> Path:
    """Write `ground-truth.json`."""
    path = folder / RESULTS
    path.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    return path


def summarize_question(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """By method and metric the mean of all runs, its interval, and the mean of each run."""
    return {
        method: {name: _summarize([run[method][name] for run in runs]) for name in METRICS}
        for method in runs[0]
    }


def _summarize(of_seeds: Sequence[Sequence[float]]) -> dict[str, Any]:
    """The mean over all images, its interval, and the mean of each seed."""
    interval = bootstrap(torch.tensor([value for values in of_seeds for value in values]))
    rounded = {
        key: round(value, _DIGITS) if isinstance(value, float) else value
        for key, value in asdict(interval).items()
    }
    return {
        **rounded,
        "seeds": [round(sum(values) / len(values), _DIGITS) for values in of_seeds],
    }
