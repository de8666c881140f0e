"""Tables of faithfulness say what the result beside the page says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tools.reference import faithfulness


def scores(gap: float, n: int = 1000, **more: float) -> dict[str, Any]:
    """Scores of a method in two settings, and of other measures."""
    of_curves = {"gap": gap, "deletion": 0.5 - gap / 2, "insertion": 0.5 + gap / 2}
    values = {
        f"{name} {one}": mean for name, mean in of_curves.items() for one in ("blur-4", "mean-1")
    }
    return {
        name: {"mean": mean, "low": mean - 0.01, "high": mean + 0.01, "n": n}
        for name, mean in (values | more).items()
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    methods = {
        "better": scores(0.5),
        "better (one_hot)": scores(0.5),
        "epsilon_plus_flat": scores(0.4, 10_000, sparseness=0.25),
        "edges": scores(0.2, 10_000),
        "gaussian": scores(0.1, 10_000),
        "random": scores(0.0, 10_000),
        "none": scores(-0.1),
        "smooth_grad (none, logit)": scores(-0.2, sparseness=0.75),
    }
    evidence = {
        "decided_by": "gap blur-4",
        "baselines": ["edges", "gaussian", "random"],
        "methods": methods,
    }
    path = tmp_path / faithfulness.RESULT
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"evidence": evidence}))
    return tmp_path


def lines(text: str) -> list[str]:
    return text.splitlines()[2:]


def test_methods_are_listed_with_their_curves_and_numbers_of_images(root: Path) -> None:
    found = lines(faithfulness.methods(root))
    assert found[:3] == [
        "| `better`, either start | 1,000 | 0.500 [0.490, 0.510] | 0.750 [0.740, 0.760] "
        "| 0.250 [0.240, 0.260] |",
        "| `epsilon_plus_flat` | 10,000 | 0.400 [0.390, 0.410] | 0.700 [0.690, 0.710] "
        "| 0.300 [0.290, 0.310] |",
        "| *edges* | 10,000 | 0.200 [0.190, 0.210] | 0.600 [0.590, 0.610] | 0.400 [0.390, 0.410] |",
    ]
    assert found[-1].startswith("| `smooth_grad (none)`, start `logit` |")


def test_settings_are_those_that_were_measured_with_the_margin_over_random(root: Path) -> None:
    found = lines(faithfulness.settings(root))
    assert [line.split(" | ")[0] for line in found] == [
        "| mean colour, single pixels",
        "| blur, 4x4",
    ]
    assert "| 0.300 [0.290, 0.310] | 0.500 [0.490, 0.510] | 0.20 |" in found[0]
    assert found[0].endswith("| `better`: 0.50 |")


def test_other_measures_are_of_the_methods_that_have_them(root: Path) -> None:
    found = lines(faithfulness.more_measures(root))
    assert [line.split(" | ")[0] for line in found] == [
        "| `epsilon_plus_flat`",
        "| `smooth_grad (none)`, start `logit`",
    ]
    assert found[0].endswith("| 0.250 [0.240, 0.260] |")


def test_the_short_table_has_the_best_the_default_and_the_controls(root: Path) -> None:
    head, _, values = faithfulness.shortest(root).splitlines()
    assert head == (
        "| `better` | `epsilon_plus_flat`, the default | edge detector | random map | gradient |"
    )
    assert values.startswith("| 0.50 [0.49, 0.51] | 0.40 [0.39, 0.41] | 0.20 [0.19, 0.21] |")
