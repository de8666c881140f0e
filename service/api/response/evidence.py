"""The evidence about an explanation as JSON fields."""

from __future__ import annotations

from statistics import fmean, stdev
from typing import Any

from service.evidence.cost import FILL, N_COPIES, NOISE_LEVEL
from service.evidence.findings import Curve, Findings
from service.evidence.verdict import describe, judge, probability


def evidence_fields(findings: Findings, subject: str) -> dict[str, Any]:
    """Write findings with their verdict; `subject` is what is explained, in words."""
    verdict = judge(findings)
    return {
        "verdict": verdict.name,
        "text": describe(findings, verdict, subject),
        "separation": verdict.separation,
        "deletion": _deletion(findings),
        "stability": _stability(findings.similarities),
        "n_forwards": findings.n_forwards,
    }


def _deletion(findings: Findings) -> dict[str, Any]:
    at_each_share = list(zip(*map(_probabilities, findings.random), strict=True))
    return {
        "patch": findings.patch,
        "fill": FILL,
        "hidden": list(findings.hidden),
        "most_relevant_first": _probabilities(findings.most_relevant_first),
        "least_relevant_first": _probabilities(findings.least_relevant_first),
        "random": {
            "orders": len(findings.random),
            "mean": list(map(fmean, at_each_share)),
            "std": list(map(stdev, at_each_share)),
        },
    }


def _stability(similarities: Curve) -> dict[str, Any]:
    return {
        "copies": N_COPIES,
        "noise_level": NOISE_LEVEL,
        "mean": fmean(similarities) if similarities else None,
        "std": stdev(similarities) if similarities else None,
    }


def _probabilities(curve: Curve) -> list[float]:
    return list(map(probability, curve))
