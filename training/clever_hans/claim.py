"""Claim 4, that the network does not rely on spurious correlations: the rule of its verdict.

The file is what `python -m training claims --add` takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NUMBER = 4
_MIN_PLANTED = 3  # networks: the spread over seeds is part of the verdict
_TRUSTED = 0.5  # lower bound of precision and recall from which the audit's silence says something


def judge_claim(result: Mapping[str, Any]) -> dict[str, Any]:
    """Judge the claim by the result of the experiment.

    It is refuted where a clean network has a suspicious class. It is confirmed where none has, and
    the audit finds what is planted in three networks or more, so that both intervals lie above one
    half. Else it is open.
    """
    threshold = result["threshold"]
    clean = [one for one in result["networks"] if not one["reliance"]]
    scores = [verdict["score"] for one in clean for verdict in one["verdicts"]]
    n_suspicious = sum(score > threshold for score in scores)
    rates = {name: result[name] for name in ("precision", "recall")}
    n_planted = len(result["networks"]) - len(clean)
    has_bounds = all(rate["interval"][0] > _TRUSTED for rate in rates.values())
    if n_suspicious:
        verdict = "refuted"
    elif clean and n_planted >= _MIN_PLANTED and has_bounds:
        verdict = "confirmed"
    else:
        verdict = "not decidable with this data"
    return {
        "number": NUMBER,
        "verdict": verdict,
        "n_networks": len(clean),
        "reasons": [
            f"{n_suspicious} of {len(scores)} classes of networks without an artefact are "
            f"suspicious (the highest score is {max(scores, default=0.0):.2f}, the threshold "
            f"{threshold:g})",
            *(_phrase(name, rate) for name, rate in rates.items()),
        ],
    }


def _phrase(name: str, rate: Mapping[str, Any]) -> str:
    low, high = rate["interval"]
    return (
        f"{name} of the audit on networks with artefacts: {rate['hits']} of {rate['n']} "
        f"(95% from {low:.0%} to {high:.0%})"
    )
