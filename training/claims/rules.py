"""The claims and the rules of their verdicts, as data, written before the numbers were known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Condition:
    """What a number has to be for a claim to be confirmed.

    Attributes
    ----------
    measure : str
        Name of what is measured, in general a difference from a control, image by image.
    control : str
        What it is compared with.
    side : {"above", "below"}
        On which side of the threshold the whole interval has to lie.
    threshold : float
        In the unit of the measure, a share of 1.
    why : str
        Why this control, and this threshold.
    refutes : bool
        Whether the claim is refuted when the interval lies on the other side; otherwise the
        condition only has to hold for a confirmation, and leaves the claim open.
    """

    measure: str
    control: str
    side: Literal["above", "below"]
    threshold: float
    why: str
    refutes: bool = False


@dataclass(frozen=True)
class Claim:
    """A claim of the tutorial, and its conditions; without conditions another command decides."""

    number: int
    text: str
    conditions: tuple[Condition, ...]


RULE = (
    "A condition holds if the 95% bootstrap interval over the images lies on its side of the "
    "threshold for every network, it fails if the interval lies on the other side for every "
    "network, and is open otherwise. A claim is confirmed if all of its conditions hold, refuted "
    "if one that refutes fails, and not decidable with this data otherwise."
)

FOCUS = Claim(
    1,
    "The network focuses on distinctive parts of the object.",
    (
        Condition(
            "mass - area", "the object's share of the area", "above", 0.05,
            "relevance that is spread evenly has the object's share of the area; less than five "
            "points more is no focus", refutes=True,
        ),
        Condition(
            "mass - random", "a random map", "above", 0,
            "what a map that knows nothing would have",
        ),
        Condition(
            "mass - edges", "an edge detector", "above", 0,
            "objects have more edges than what is behind them: a detector finds them unasked",
        ),
        Condition(
            "mass - another image", "the network's map of another image", "above", 0,
            "as centred and as concentrated as the map itself, but of something else: what is left "
            "of the claim if only the place in the frame counts",
        ),
        Condition(
            "mass - gaussian", "a Gaussian in the middle", "above", 0,
            "objects are centred, and a blob that sees no image finds them",
        ),
        Condition(
            "half - gaussian", "a disc in the middle, as many pixels", "above", 0,
            "the same where neither can win by being more concentrated: the pixels that carry half "
            "of the relevance against as many in the middle",
        ),
        Condition(
            "mass - untrained", "the same network with random weights", "above", 0,
            "what the rules of the method do with any weights",
        ),
        Condition(
            "reddest - random", "a random quarter of the object's patches", "above", 0.1,
            "parts are distinctive if the class depends on them more than on other parts of the "
            "same object: less than ten points of probability is little", refutes=True,
        ),
        Condition(
            "reddest - edges", "the quarter of the object's patches with most edges", "above", 0,
            "a detector of edges finds parts with details, too",
        ),
    ),
)  # fmt: skip

BACKGROUND = Claim(
    2,
    "The network ignores the background.",
    (
        Condition(
            "background - outline", "another background with the same hole", "below", 0.05,
            "without its object an image says nothing about its class to a network that ignores "
            "backgrounds, but what the outline of the hole gives away", refutes=True,
        ),
        Condition(
            "background gap", "the object on a background of its own class", "below", 0.05,
            "pasting costs accuracy by itself; what another class behind the object costs beyond "
            "that is due to the background (Xiao et al. 2021: 6 to 14 points on ImageNet)",
            refutes=True,
        ),
        Condition(
            "background - third class", "classes of neither object nor background", "below", 0.05,
            "mistakes on pasted images that go to the class of the background more often than to "
            "another one are due to it", refutes=True,
        ),
        Condition(
            "density outside", "relevance that is spread evenly (1)", "below", 0.5,
            "masks are exact in pasted images; rules spread relevance over the field that a unit "
            "sees, so that it is never none: half as dense as evenly spread is the limit",
        ),
    ),
)  # fmt: skip

DEPTH = Claim(
    3,
    "Early layers show edges, and deeper layers semantic parts.",
    (
        Condition(
            "edges at the first layer", "no correlation, the object held fixed", "above", 0.1,
            "relevance of the first layer follows edges; below 0.1 nobody would see it",
            refutes=True,
        ),
        Condition(
            "edges lost with depth", "the last layer", "above", 0.05,
            "edges are shown by early layers more than by deep ones", refutes=True,
        ),
        Condition(
            "edges lost with depth - untrained", "the same network with random weights", "above", 0,
            "deep maps are coarse whatever the weights are",
        ),
        Condition(
            "edges lost with depth, one size", "all layers at the size of the smallest", "above", 0,
            "a coarse map cannot show fine edges: at one size only what it shows counts",
        ),
        Condition(
            "object at the last layer", "no correlation, edges held fixed", "above", 0.1,
            "relevance of the last layer follows the object; below 0.1 nobody would see it",
            refutes=True,
        ),
        Condition(
            "object gained with depth", "the first layer", "above", 0.05,
            "the object is shown by deep layers more than by early ones", refutes=True,
        ),
        Condition(
            "object gained with depth - untrained", "the same network with random weights", "above",
            0, "blurred maps follow any blob, whatever the weights are",
        ),
        Condition(
            "object gained with depth, one size", "all layers at the size of the smallest", "above",
            0, "the early maps, blurred as much, might follow the object as well",
        ),
        Condition(
            "parts", "annotated parts", "above", 0,
            "no image here has its parts marked: that deep layers show parts, and not just the "
            "object, can be refuted with this data but not confirmed",
        ),
    ),
)  # fmt: skip

CLEVER_HANS = Claim(4, "The network does not rely on spurious correlations.", ())

CLAIMS = (FOCUS, BACKGROUND, DEPTH, CLEVER_HANS)
