"""The verdict on an explanation, from its findings, in words and for programs. Needs no torch.

The rule: the area under a curve is the mean of the log-odds while more and more is hidden. The
separation is the area of least relevant first minus that of most relevant first, in standard
deviations of the areas of the random orders. A map that says nothing has a separation around 0.

- supported: a separation of at least `SUPPORTED_FROM`, and most relevant first below the mean of
  the random orders;
- not supported: a separation below `NOT_SUPPORTED_BELOW`;
- undecided: anything between, a map without any order, and a score that nothing changes.

The bounds were set on images of CIFAR-10, see docs/explanation/reading-a-map.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

from service.evidence.findings import Curve, Findings

VerdictName = Literal["supported", "not supported", "undecided"]
SUPPORTED_FROM = 4.0
NOT_SUPPORTED_BELOW = 1.0
_NOTHING = 1e-6  # log-odds: the rounding of a score that does not change
_QUARTER = 0.25


@dataclass(frozen=True)
class Areas:
    """Areas under the curves: means of the log-odds over the shares that are hidden."""

    most_relevant_first: float
    least_relevant_first: float
    random: tuple[float, ...]


@dataclass(frozen=True)
class Verdict:
    """Whether the findings support an explanation.

    Attributes
    ----------
    name : {"supported", "not supported", "undecided"}
        By the rule of this module.
    separation : float or None
        As the rule has it; None where there is none.
    areas : Areas
        That it follows from.
    """

    name: VerdictName
    separation: float | None
    areas: Areas


def judge(findings: Findings) -> Verdict:
    """Apply the rule of this module."""
    areas = Areas(
        _area(findings.hidden, findings.most_relevant_first),
        _area(findings.hidden, findings.least_relevant_first),
        tuple(_area(findings.hidden, curve) for curve in findings.random),
    )
    spread = stdev(areas.random)
    if not findings.has_order or spread < _NOTHING:
        return Verdict("undecided", None, areas)
    separation = (areas.least_relevant_first - areas.most_relevant_first) / spread
    return Verdict(_name(separation, areas), separation, areas)


def _name(separation: float, areas: Areas) -> VerdictName:
    if separation < NOT_SUPPORTED_BELOW:
        return "not supported"
    is_below_random = areas.most_relevant_first < fmean(areas.random)
    return "supported" if separation >= SUPPORTED_FROM and is_below_random else "undecided"


def describe(findings: Findings, verdict: Verdict, subject: str) -> str:
    """Describe a verdict in words, with the numbers behind it.

    Parameters
    ----------
    findings : Findings
        The numbers.
    verdict : Verdict
        What follows from them.
    subject : str
        What is explained, such as `cat`, or `cat rather than dog`.
    """
    if not findings.has_order:
        return f"The map for {subject} is the same everywhere: there is no order to test."
    if verdict.separation is None:
        return f"Hiding parts of the image does not change {subject}: there is nothing to test."
    at = min(range(len(findings.hidden)), key=lambda i: abs(findings.hidden[i] - _QUARTER))
    share = "quarter" if findings.hidden[at] == _QUARTER else percent(findings.hidden[at])
    before = percent(probability(findings.most_relevant_first[0]))
    most = percent(probability(findings.most_relevant_first[at]))
    least = percent(probability(findings.least_relevant_first[at]))
    random = percent(fmean(probability(curve[at]) for curve in findings.random))
    numbers = (
        f"Hiding the most relevant {share} of the image takes {subject} from {before} to {most}, "
        f"a random {share} to {random}, the least relevant {share} to {least}."
    )
    return f"{numbers} {_conclusion(verdict, verdict.separation)}"


def _conclusion(verdict: Verdict, separation: float) -> str:
    times = f"{abs(separation):.1f} times as far apart as random orders differ"
    if verdict.name == "supported":
        return f"The map is supported: over all shares, both orders are {times}."
    if verdict.name == "undecided":
        return (
            f"Undecided: over all shares, both orders are only {times}; "
            f"{SUPPORTED_FROM:g} times, and below the random ones, would support the map."
        )
    if separation <= -NOT_SUPPORTED_BELOW:
        return (
            "The map is not supported: over all shares, hiding what it marks as least relevant "
            "does the most harm."
        )
    return (
        "The map is not supported: over all shares, its order does no more harm than a random one."
    )


def probability(odds: float) -> float:
    """The probability with these log-odds."""
    if odds >= 0:
        return 1 / (1 + math.exp(-odds))
    return math.exp(odds) / (1 + math.exp(odds))


def percent(share: float) -> str:
    """A share as a percentage: with a digit more near 0 and 1, and never as one of them."""
    if 0 < share < 0.001:
        return "under 0.1%"
    if 0.999 < share < 1:
        return "over 99.9%"
    return f"{share:.0%}" if 0.0995 <= share < 0.9895 else f"{share:.1%}"


def _area(hidden: Sequence[float], curve: Curve) -> float:
    """By trapezoids, over the width."""
    steps = [
        (right - left) * (low + high) / 2
        for left, right, low, high in zip(hidden, hidden[1:], curve, curve[1:], strict=False)
    ]
    return sum(steps) / (hidden[-1] - hidden[0])
