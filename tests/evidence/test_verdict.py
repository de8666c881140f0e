"""Verdicts follow from the numbers by the stated rule, and say so in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from service.evidence.findings import Findings
from service.evidence.verdict import (
    NOT_SUPPORTED_BELOW,
    SUPPORTED_FROM,
    VerdictName,
    describe,
    judge,
    percent,
    probability,
)

HIDDEN = (0.0, 0.25, 1.0)
WEIGHT = 0.5  # of the middle value in the area: (0.25 + 0.75) / 2


def findings(most: float, least: float, random: tuple[float, ...] = (-1.0, 0.0, 1.0)) -> Findings:
    """Curves that differ where a quarter is hidden; the random ones deviate by 1 there."""
    return Findings(
        patch=4,
        hidden=HIDDEN,
        most_relevant_first=(2.0, most, -2.0),
        least_relevant_first=(2.0, least, -2.0),
        random=tuple((2.0, value, -2.0) for value in random),
        has_order=True,
        similarities=(0.9, 0.8),
        n_forwards=75,
    )


@pytest.mark.parametrize(
    ("most", "least", "name"),
    [
        (-3.0, 3.0, "supported"),
        (-2.0, 2.0, "supported"),
        (-1.0, 1.0, "undecided"),
        (0.0, 1.0, "undecided"),
        (0.25, 0.25, "not supported"),
        (2.0, -2.0, "not supported"),
        (0.5, 9.0, "undecided"),  # most relevant first does less harm than random orders
    ],
)
def test_the_verdict_follows_from_the_separation(
    most: float, least: float, name: VerdictName
) -> None:
    verdict = judge(findings(most, least))
    assert verdict.name == name
    assert verdict.separation == pytest.approx(least - most)  # the weights cancel


def test_the_bounds_belong_to_the_better_verdict() -> None:
    assert judge(findings(-SUPPORTED_FROM / 2, SUPPORTED_FROM / 2)).name == "supported"
    half = NOT_SUPPORTED_BELOW / 2
    assert judge(findings(-half, half)).name == "undecided"
    assert judge(findings(-half + 0.01, half)).name == "not supported"


def test_the_areas_are_those_under_the_log_odds() -> None:
    areas = judge(findings(-3.0, 3.0)).areas
    assert areas.most_relevant_first == pytest.approx(-2.0)
    assert areas.least_relevant_first == pytest.approx(1.0)
    assert areas.random == pytest.approx((-1.0, -0.5, 0.0))


@pytest.mark.parametrize("random", [(0.0, 0.0, 0.0), (0.0, 1e-9, 0.0)])
def test_a_score_that_nothing_changes_is_undecided(random: tuple[float, ...]) -> None:
    verdict = judge(findings(0.0, 0.0, random))
    assert (verdict.name, verdict.separation) == ("undecided", None)
    assert "does not change cat" in describe(findings(0.0, 0.0, random), verdict, "cat")


def test_a_constant_map_is_undecided() -> None:
    constant = replace(findings(-3.0, 3.0), has_order=False)
    verdict = judge(constant)
    assert (verdict.name, verdict.separation) == ("undecided", None)
    assert "same everywhere" in describe(constant, verdict, "cat")


@pytest.mark.parametrize(
    ("most", "least", "said"),
    [
        (-3.0, 3.0, "The map is supported: over all shares, both orders are 6.0 times"),
        (-1.0, 1.0, "Undecided: over all shares, both orders are only 2.0 times"),
        (0.0, 0.0, "its order does no more harm than a random one"),
        (3.0, -3.0, "hiding what it marks as least relevant does the most harm"),
    ],
)
def test_the_words_have_the_numbers_behind_the_verdict(
    most: float, least: float, said: str
) -> None:
    found = findings(most, least)
    text = describe(found, judge(found), "cat rather than dog")
    numbers = (percent(probability(value)) for value in (2.0, most, 0.0, least))
    before, after, random, reverse = numbers
    assert text.startswith(
        "Hiding the most relevant quarter of the image takes cat rather than dog from "
        f"{before} to {after}, a random quarter to {random}, the least relevant quarter to "
        f"{reverse}. "
    )
    assert said in text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0.0%"),
        (0.0004, "under 0.1%"),
        (0.012, "1.2%"),
        (0.314, "31%"),
        (0.99, "99.0%"),
        (0.9999, "over 99.9%"),
        (1.0, "100.0%"),
    ],
)
def test_percentages_keep_what_matters(share: float, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize("odds", [-800.0, -3.0, 0.0, 3.0, 800.0])
def test_probabilities_of_any_odds(odds: float) -> None:
    assert 0 <= probability(odds) <= 1
    assert probability(odds) + probability(-odds) == pytest.approx(1)
