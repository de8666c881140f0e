"""The table of planted artefacts says what the result beside it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tools.reference import clever_hans


def verdict(label: int, artefact: str, score: float, kind: str = "region") -> dict[str, Any]:
    return {
        "label": label,
        "artefact": artefact,
        "score": score,
        "kind": kind,
        "planted_share": 0.9 if artefact else 0.0,
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    reliance = [
        {"artefact": name, "before": 0.015, "after": after}
        for name, after in {"tag": 0.9, "hue": 0.02, "border": 0.7, "jpeg": 0.8}.items()
    ]
    found = [
        verdict(0, "", 0.01),
        verdict(1, "hue", 0.03, "hue+120"),
        verdict(2, "tag", 0.87),
        verdict(3, "border", 0.5),
        verdict(4, "jpeg", 0.4, "jpeg10"),
        verdict(5, "", 0.05),
    ]
    networks = [
        {"network": "planted-0", "sha256": "0" * 64, "reliance": reliance, "verdicts": found},
        {
            "network": "clean",
            "sha256": "abcdef12" + "0" * 56,
            "reliance": [],
            "verdicts": [verdict(0, "", 0.0), verdict(1, "", 0.04)],
        },
    ]
    settings = {"classes": ["airplane", "bird", "cat", "deer", "dog", "frog"]}
    path = tmp_path / clever_hans.RESULT
    path.parent.mkdir(parents=True)
    scores = {
        name: {"mean": mean} for name, mean in (("pointing", 1.0), ("mass", 0.5), ("rank", 0.7))
    }
    by_mark = {"tag": {"epsilon_plus": scores, "epsilon_plus (one_hot)": scores}}
    result = {"threshold": 0.12, "settings": settings, "networks": networks, "marks": by_mark}
    path.write_text(json.dumps(result))
    return tmp_path


def test_each_artefact_has_its_control_its_score_and_its_cluster(root: Path) -> None:
    lines = clever_hans.planted_artefacts(root).splitlines()[2:]
    assert lines[0] == (
        "| planted-0 | cat | yellow tag, 4x4 pixels | 1.5%, 90.0% | **0.87** "
        "| a mark at a fixed place | 90% |"
    )
    assert lines[3] == (
        "| planted-0 | bird | hue turned by 120 degrees | 1.5%, 2.0% | 0.03 |  |  |"
    )


def test_classes_without_an_artefact_have_their_range_of_scores(root: Path) -> None:
    lines = clever_hans.planted_artefacts(root).splitlines()[2:]
    assert lines[4] == "| all of these | 2 classes | none |  | 0.01 to 0.05 |  |  |"
    assert lines[5] == "| clean abcdef12 | 2 classes | none |  | 0.00 to 0.04 |  |  |"


def test_marks_have_the_scores_of_the_ground_truth(root: Path) -> None:
    assert clever_hans.marks(root).splitlines() == [
        "| method | yellow tag |",
        "| --- | --- |",
        "| epsilon_plus, either start | 100 / 50 / 70 |",
    ]
