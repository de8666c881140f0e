"""Verdicts follow from numbers by the rule, and from nothing else."""

from __future__ import annotations

import pytest

from service.evidence.intervals import Interval
from training.claims.rules import CLAIMS, DEPTH, FOCUS, Claim, Condition
from training.claims.values import Intervals
from training.claims.verdicts import judge

CLAIM = Claim(
    1,
    "It is so.",
    (
        Condition("gain", "nothing", "above", 0.1, "reason", refutes=True),
        Condition("cost", "nothing", "below", 0.2, "reason"),
    ),
)


def interval(low: float, high: float) -> Interval:
    return Interval((low + high) / 2, low, high, 100)


def network(gain: tuple[float, float], cost: tuple[float, float] = (0.0, 0.1)) -> Intervals:
    return {"gain": interval(*gain), "cost": interval(*cost)}


GOOD, BAD, WIDE = (0.3, 0.4), (0.0, 0.05), (0.05, 0.3)


@pytest.mark.parametrize(
    ("networks", "word"),
    [
        ([network(GOOD)], "confirmed"),
        ([network(GOOD)] * 3, "confirmed"),
        ([network(BAD)] * 3, "refuted"),
        ([network(WIDE)], "not decidable with this data"),
        ([network(GOOD), network(GOOD), network(WIDE)], "not decidable with this data"),
        ([network(GOOD), network(BAD)], "not decidable with this data"),
        # the second condition only supports: its failing refutes nothing
        ([network(GOOD, cost=(0.3, 0.4))], "not decidable with this data"),
        ([network(BAD, cost=(0.3, 0.4))], "refuted"),
        ([{"gain": interval(*GOOD)}], "not decidable with this data"),
        ([network(GOOD), {"gain": interval(*GOOD)}], "not decidable with this data"),
        ([], "not decidable with this data"),
    ],
)
def test_the_rule(networks: list[Intervals], word: str) -> None:
    assert judge(CLAIM, networks).word == word


def test_the_spread_is_that_between_networks() -> None:
    (gain, _) = judge(CLAIM, [network((0.2, 0.4)), network((0.4, 0.6))]).outcomes
    assert gain.mean == pytest.approx(0.4)
    assert gain.spread == pytest.approx(0.2 / 2**0.5)


def test_one_network_has_no_spread() -> None:
    assert judge(CLAIM, [network(GOOD)]).outcomes[0].spread is None


def test_the_reasons_are_what_refutes_or_what_leaves_open() -> None:
    refuted = judge(CLAIM, [network(BAD, cost=(0.3, 0.4))])
    assert refuted.reasons == ("`gain` is 0.025, has to be above 0.1",)
    still_open = judge(CLAIM, [network(GOOD, cost=(0.3, 0.4))])
    assert still_open.reasons == ("`cost` is 0.350, has to be below 0.2",)


def test_parts_cannot_be_confirmed_without_annotated_parts() -> None:
    best = {one.measure: interval(0.8, 0.9) for one in DEPTH.conditions if one.measure != "parts"}
    verdict = judge(DEPTH, [best])
    assert verdict.word == "not decidable with this data"
    assert verdict.reasons == ("`parts` cannot be measured here, has to be above 0",)


def test_every_claim_can_be_refuted_and_only_by_what_it_says() -> None:
    for claim in CLAIMS:
        measures = [one.measure for one in claim.conditions]
        assert len(measures) == len(set(measures))
        assert not claim.conditions or any(one.refutes for one in claim.conditions)
    assert judge(CLAIMS[3], []).word == "not measured"
    worst = {one.measure: interval(-0.9, -0.8) for one in FOCUS.conditions}
    assert judge(FOCUS, [worst]).word == "refuted"
