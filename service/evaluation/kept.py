"""A comparison of methods as the evidence that a card keeps."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from torch import Tensor

from service.evaluation.advice import Trial
from service.evaluation.perturbed import Curves, Setting
from service.evaluation.versions import library_versions
from service.evidence.baselines import BASELINES
from service.evidence.intervals import bootstrap
from service.models.evidence import Evidence, Measure, Score
from service.runtime.engine import Engine

_DIGITS = 4
MEASURES = {
    "gap": Measure(
        text="Area between the curves of the class's probability with the least and with the most "
        "relevant patches hidden first; 0 for a map that knows nothing",
        higher_is_better=True,
    ),
    "deletion": Measure(
        text="Mean probability of the class while the most relevant patches are hidden first",
        higher_is_better=False,
    ),
    "insertion": Measure(
        text="Mean probability of the class while the least relevant patches are hidden first, "
        "which is to show the most relevant ones first",
        higher_is_better=True,
    ),
}


def make_evidence(engine: Engine, trial: Trial, data: str, seed: int) -> Evidence:
    """Evidence of a trial."""
    comparison = trial.comparison
    first = comparison.names[0]
    return Evidence(
        data=data,
        n=comparison.n,
        decided_by="gap",
        measures=MEASURES,
        methods={name: _scores(trial.curves[name]) for name in comparison.names},
        baselines=tuple(BASELINES),
        best=(first, *comparison.ties_with(first)),
        settings={**describe_setting(trial.setting), "target": "predicted class", "seed": seed},
        hardware=engine.device_name,
        versions=library_versions(),
        measured_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def describe_setting(setting: Setting) -> dict[str, Any]:
    """A setting by name."""
    return {
        "patch_side": setting.side,
        "fill": setting.fill,
        "hidden_shares": [*setting.shares],
    }


def score_of(values: Tensor, seed: int = 0) -> Score:
    """The mean of values, one for each image, as a card has it."""
    found = bootstrap(values, seed)
    mean, low, high = (round(value, _DIGITS) for value in (found.mean, found.low, found.high))
    return Score(mean=mean, low=low, high=high, n=found.n)


def _scores(curves: Curves) -> dict[str, Score]:
    values = {"gap": curves.gap, "deletion": curves.deletion, "insertion": curves.insertion}
    return {name: score_of(value) for name, value in values.items()}
