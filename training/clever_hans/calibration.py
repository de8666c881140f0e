"""Precision and recall of the audit over planted and clean networks, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from training.clever_hans.experiment import Verdict

_Z = 1.959964  # of a 95% interval
_MAJORITY = 0.5


@dataclass(frozen=True)
class Rate:
    """A share with its 95% interval by Wilson's score (Wilson 1927)."""

    hits: int
    n: int

    @property
    def share(self) -> float:
        """Hits per trial; 0 of none."""
        return self.hits / self.n if self.n else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper bound."""
        if not self.n:
            return 0.0, 1.0
        share, n, z = self.share, self.n, _Z
        center = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * (share * (1 - share) / n + z**2 / (4 * n**2)) ** 0.5
        return max(0.0, center - half), min(1.0, center + half)


@dataclass(frozen=True)
class Calibration:
    """How a threshold does.

    Attributes
    ----------
    threshold : float
        Scores above it are suspicious.
    precision : Rate
        Suspicious classes that have an artefact which the network relies on.
    recall : Rate
        Classes with such an artefact whose most suspicious cluster has mostly images with it.
    """

    threshold: float
    precision: Rate
    recall: Rate


def calibrate(verdicts: Sequence[Verdict], threshold: float) -> Calibration:
    """Count the classes of all networks."""
    suspicious = [one for one in verdicts if one.score > threshold]
    right = [one for one in suspicious if one.relies and one.planted_share > _MAJORITY]
    n_planted = sum(one.relies for one in verdicts)
    return Calibration(threshold, Rate(len(right), len(suspicious)), Rate(len(right), n_planted))


def separating_thresholds(verdicts: Sequence[Verdict]) -> tuple[float, float]:
    """The highest score of a clean class, and the lowest of one with an artefact.

    Where the first is lower than the second, each threshold between them is without an error.
    """
    clean = max((one.score for one in verdicts if not one.relies), default=0.0)
    planted = min((one.score for one in verdicts if one.relies), default=1.0)
    return clean, planted
