"""What the device thread is asked for, and what it answers. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.methods import Method, Start

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class PredictJob:
    """Predict one image: uint8 RGB of shape (H, W, 3), of the size that the network takes."""

    pixels: Pixels


@dataclass(frozen=True, eq=False)
class ExplainJob:
    """Explain one image.

    Attributes
    ----------
    pixels : NDArray[uint8]
        As in `PredictJob`.
    method : Method
        The attributor and the rules.
    target : int or None
        Index of the class to explain; None for the predicted one.
    contrast : int or None
        Index of the class to explain `target` against.
    start : {"one_hot", "logit"}
        Relevance at the target: 1, or the logit.
    """

    pixels: Pixels
    method: Method
    target: int | None = None
    contrast: int | None = None
    start: Start = "one_hot"


@dataclass(frozen=True, eq=False)
class Prediction:
    """Logits, float32 of shape (num_classes,)."""

    logits: Floats


@dataclass(frozen=True, eq=False)
class Explanation:
    """The relevance of an image's pixels.

    Attributes
    ----------
    logits : NDArray[float32]
        Shape (num_classes,).
    target : int
        Index of the class that was explained.
    relevance : NDArray[float32]
        Shape (3, H, W).
    start : float
        Sum of the relevance at the output.
    engine : str
        The implementation of the rules that ran.
    """

    logits: Floats
    target: int
    relevance: Floats
    start: float
    engine: str


Job = PredictJob | ExplainJob
Result = Prediction | Explanation
