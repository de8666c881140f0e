"""Verdicts: the rules applied to what was measured on one or several networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

from service.evidence.intervals import Interval
from training.claims.rules import Claim, Condition
from training.claims.values import Intervals

State = Literal["holds", "fails", "open"]
Word = Literal["confirmed", "refuted", "not decidable with this data", "not measured"]


@dataclass(frozen=True)
class Outcome:
    """A condition, and what was measured for it.

    Attributes
    ----------
    condition : Condition
        The rule.
    intervals : tuple of Interval
        Of each network that has one.
    state : {"holds", "fails", "open"}
        Whether it holds.
    """

    condition: Condition
    intervals: tuple[Interval, ...]
    state: State

    @property
    def mean(self) -> float | None:
        """Mean over the networks."""
        return fmean(one.mean for one in self.intervals) if self.intervals else None

    @property
    def spread(self) -> float | None:
        """Standard deviation between networks; None for fewer than two."""
        return stdev(one.mean for one in self.intervals) if len(self.intervals) > 1 else None

    def __str__(self) -> str:
        condition = self.condition
        wanted = f"has to be {condition.side} {condition.threshold:g}"
        found = "cannot be measured here" if self.mean is None else f"is {self.mean:.3f}"
        return f"`{condition.measure}` {found}, {wanted}"


@dataclass(frozen=True)
class Verdict:
    """A claim, judged.

    Attributes
    ----------
    claim : Claim
        What was claimed, and the rule.
    word : str
        The verdict.
    outcomes : tuple of Outcome
        Of each condition.
    n_networks : int
        Networks that were measured.
    """

    claim: Claim
    word: Word
    outcomes: tuple[Outcome, ...]
    n_networks: int

    @property
    def reasons(self) -> tuple[str, ...]:
        """What decided: the conditions that refute, or those that leave the claim open."""
        if self.word == "refuted":
            return tuple(str(one) for one in self.outcomes if _refutes(one))
        return tuple(str(one) for one in self.outcomes if one.state != "holds")


def judge(claim: Claim, networks: Sequence[Intervals]) -> Verdict:
    """Apply the rule of a claim to the intervals of each network."""
    outcomes = tuple(_outcome(condition, networks) for condition in claim.conditions)
    return Verdict(claim, _word(outcomes), outcomes, len(networks))


def _outcome(condition: Condition, networks: Sequence[Intervals]) -> Outcome:
    found = tuple(one[condition.measure] for one in networks if condition.measure in one)
    return Outcome(condition, found, _state(condition, found, len(networks)))


def _state(condition: Condition, found: Sequence[Interval], n_networks: int) -> State:
    """A network without the measure leaves the condition open."""
    if not found or len(found) < n_networks:
        return "open"
    above = all(one.low > condition.threshold for one in found)
    below = all(one.high < condition.threshold for one in found)
    if not (above or below):
        return "open"
    return "holds" if above == (condition.side == "above") else "fails"


def _refutes(outcome: Outcome) -> bool:
    return outcome.condition.refutes and outcome.state == "fails"


def _word(outcomes: Sequence[Outcome]) -> Word:
    if not outcomes:
        return "not measured"
    if any(map(_refutes, outcomes)):
        return "refuted"
    if all(one.state == "holds" for one in outcomes):
        return "confirmed"
    return "not decidable with this data"
