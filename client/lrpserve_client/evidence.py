"""The evidence about an explanation: whether its map is right about the image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["supported", "not supported", "undecided"]
Curve = tuple[float, ...]


@dataclass(frozen=True)
class Deletion:
    """The probability of the target while more and more squares of the image are hidden.

    Attributes
    ----------
    patch : int
        Side of a square, in pixels of the network's input.
    fill : str
        What hidden squares show.
    hidden : tuple of float
        Shares of the squares that are hidden.
    most_relevant_first, least_relevant_first : tuple of float
        Probability at each share; with a contrast, the target's share of that of both.
    random_mean, random_std : tuple of float
        Mean and standard deviation over random orders.
    """

    patch: int
    fill: str
    hidden: Curve
    most_relevant_first: Curve
    least_relevant_first: Curve
    random_mean: Curve
    random_std: Curve


@dataclass(frozen=True)
class Stability:
    """Mean and deviation of the correlation with the maps of noisy copies; None: constant maps."""

    copies: int
    noise_level: float
    mean: float | None
    std: float | None


@dataclass(frozen=True)
class Evidence:
    """Whether a map is right about its image.

    Attributes
    ----------
    verdict : {"supported", "not supported", "undecided"}
        For programs.
    text : str
        The verdict in words, with the numbers behind it.
    separation : float or None
        How far the orders of `deletion` are apart, in deviations of the random ones; around 0 for
        a map that says nothing, None where there is nothing to compare.
    deletion : Deletion
        What hiding parts of the image does.
    stability : Stability
        What noise does to the map.
    n_forwards : int
        Forward passes that it took.
    """

    verdict: Verdict
    text: str
    separation: float | None
    deletion: Deletion
    stability: Stability
    n_forwards: int

    def __str__(self) -> str:
        return self.text


def read_evidence(content: Mapping[str, Any] | None) -> Evidence | None:
    """Parse evidence; None where the response has none."""
    if content is None:
        return None
    deletion, stability = content["deletion"], content["stability"]
    return Evidence(
        verdict=content["verdict"],
        text=content["text"],
        separation=content["separation"],
        deletion=Deletion(
            deletion["patch"],
            deletion["fill"],
            *(tuple(deletion[name]) for name in ("hidden", *_ORDERS)),
            *(tuple(deletion["random"][name]) for name in ("mean", "std")),
        ),
        stability=Stability(**{name: stability[name] for name in Stability.__dataclass_fields__}),
        n_forwards=content["n_forwards"],
    )


_ORDERS = ("most_relevant_first", "least_relevant_first")
