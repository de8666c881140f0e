"""Evidence of a card, as a measurement would write it."""

from __future__ import annotations

from typing import Any


def evidence_fields() -> dict[str, Any]:
    """Two measures of two methods and of a baseline."""

    def scores(gap: float) -> dict[str, Any]:
        return {
            "gap": {"mean": gap, "low": gap - 0.05, "high": gap + 0.05, "n": 1000},
            "sparseness": {"mean": 0.4, "low": 0.3, "high": 0.5, "n": 100},
        }

    return {
        "data": "photos",
        "n": 1000,
        "decided_by": "gap",
        "measures": {
            "gap": {"text": "Area between both curves", "higher_is_better": True},
            "sparseness": {"text": "Gini index"},
        },
        "methods": {
            "epsilon_gamma_box": scores(0.5),
            "epsilon_plus_flat": scores(0.4),
            "random": scores(-0.01),
        },
        "baselines": ["random"],
        "best": ["epsilon_gamma_box"],
        "settings": {"patch_side": 4, "fill": "blur"},
        "hardware": "two cores",
        "versions": {"torch": "2"},
        "measured_at": "2026-11-28T12:00:00Z",
    }
