"""The schemas of the evidence about an explanation."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from service.evidence.verdict import NOT_SUPPORTED_BELOW, SUPPORTED_FROM, VerdictName

EXAMPLE: JsonDict = {
    "verdict": "supported",
    "text": "Hiding the most relevant quarter of the image takes cat from 82% to 31%, a random "
    "quarter to 71%, the least relevant quarter to 86%. The map is supported: over all shares, "
    "both orders are 5.1 times as far apart as random orders differ.",
    "separation": 5.1,
    "deletion": {
        "patch": 4,
        "fill": "blur",
        "hidden": [0, 0.25, 0.5, 1],
        "most_relevant_first": [0.82, 0.31, 0.12, 0.36],
        "least_relevant_first": [0.82, 0.86, 0.81, 0.36],
        "random": {"orders": 8, "mean": [0.82, 0.71, 0.55, 0.36], "std": [0, 0.08, 0.11, 0]},
    },
    "stability": {"copies": 4, "noise_level": 0.05, "mean": 0.95, "std": 0.02},
    "n_forwards": 75,
}


class _Schema(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RandomOrders(_Schema):
    """The probabilities while squares are hidden in random orders, which are the same each time."""

    orders: int = Field(description="Number of orders")
    mean: list[float]
    std: list[float] = Field(description="Standard deviation over the orders")


class Deletion(_Schema):
    """The probability of the target while more and more of the image is hidden.

    With a contrast it is the target's share of the probability of both.
    """

    patch: int = Field(
        description="Side of the squares that are hidden, in pixels of the network's input"
    )
    fill: str = Field(description="What hidden squares show: `blur`, the blurred image")
    hidden: list[float] = Field(description="Shares of the squares that are hidden")
    most_relevant_first: list[float] = Field(description="Probability at each share")
    least_relevant_first: list[float] = Field(description="Likewise, in the reverse order")
    random: RandomOrders


class Stability(_Schema):
    """How similar the maps of noisy copies of the image are to its own."""

    copies: int = Field(description="Number of copies, with noise that is the same each time")
    noise_level: float = Field(
        description="Standard deviation of the noise, as a share of the image's range of values"
    )
    mean: float | None = Field(
        description="Mean correlation of the maps, 1 for equal ones; null where one is constant"
    )
    std: float | None = Field(description="Its standard deviation over the copies; or null")


class ExplanationEvidence(_Schema):
    """Whether the explanation of a target is right about this image."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})

    verdict: VerdictName = Field(
        description=f"`supported` from a separation of {SUPPORTED_FROM:g} on, where most relevant "
        f"first is below random orders; `not supported` below {NOT_SUPPORTED_BELOW:g}; else "
        "`undecided`"
    )
    text: str = Field(description="The verdict in words, with the numbers behind it")
    separation: float | None = Field(
        description="How far the curves of most and least relevant first are apart, by the area "
        "under their log-odds, in standard deviations of the random orders; around 0 for a map "
        "that says nothing; null where there is nothing to compare"
    )
    deletion: Deletion
    stability: Stability
    n_forwards: int = Field(
        description="Forward passes of the image that it took, for all targets together"
    )
