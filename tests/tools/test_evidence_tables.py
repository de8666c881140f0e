"""Tables of the page of evidence say what the results beside it say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tools.reference import evidence


def value(mean: float, spread: float = 0.02) -> dict[str, Any]:
    seeds = [mean - spread, mean + spread]
    return {"mean": mean, "low": mean - 0.01, "high": mean + 0.01, "n": 30, "seeds": seeds}


def row(pointing: float, mass: float, rank: float) -> dict[str, Any]:
    return {"pointing": value(pointing), "mass": value(mass), "rank": value(rank)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    methods = {
        "baseline: random": row(0.08, 0.08, 0.08),
        "alpha": row(0.9, 0.5, 0.7),
        "alpha (one_hot)": row(0.9, 0.5, 0.7),
        "beta": row(0.9, 0.6, 0.8),
        "beta (one_hot)": row(0.1, 0.6, 0.8),
        "smooth (none)": row(0.5, 0.5, 0.5),
        "smooth (none, logit)": row(0.5, 0.5, 0.5),
    }
    run = {"accuracy": 0.993, "controls": {"unchanged": 0.99}, "n_controls": 200, "n_always": 150}
    results = {
        "networks": {"marked": [run, {**run, "accuracy": 0.999}], "planted-corner": [{"seed": 0}]},
        "questions": {"marked/class": methods, "planted-corner/class": {"alpha": row(1, 1, 1)}},
    }
    path = tmp_path / evidence.GROUND_TRUTH
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(results))
    return tmp_path


def lines(text: str) -> list[str]:
    return text.splitlines()[2:]


def test_methods_are_listed_best_first_with_interval_and_spread(root: Path) -> None:
    found = lines(evidence.deciding_object(root))
    assert found[0] == (
        "| beta | 30 | 90 [89, 91], seeds 88 to 92 | 60 [59, 61], seeds 58 to 62 "
        "| 80 [79, 81], seeds 78 to 82 |"
    )
    assert found[-1].startswith("| baseline: random | 30 | 8 [7, 9]")


def test_starts_are_one_row_only_where_all_scores_are_the_same(root: Path) -> None:
    names = [line.split(" | ")[0] for line in lines(evidence.deciding_object(root))]
    assert names == [
        "| beta",
        "| beta, start `one_hot`",
        "| alpha, either start",
        "| smooth (none), either start",
        "| baseline: random",
    ]


def test_a_network_has_its_accuracy_and_its_controls(root: Path) -> None:
    assert lines(evidence.networks(root)) == [
        "| `marked` | 99.3, 99.9 | unchanged: 99.0, 99.0 | 75.0, 75.0 |"
    ]


def test_questions_that_were_not_asked_have_no_column(root: Path) -> None:
    assert evidence.planted(root).splitlines()[0] == "| method | convolution that reads a corner |"
    assert lines(evidence.planted(root)) == ["| alpha | 100 / 100 / 100 |"]
