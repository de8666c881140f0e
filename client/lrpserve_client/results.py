"""Answers as objects: scores, and relevance as an array with its picture."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Score:
    """A class and its score."""

    index: int
    label: str
    probability: float
    logit: float

    def __str__(self) -> str:
        return f"{self.label} {self.probability:.1%}"


@dataclass(frozen=True)
class ImageBox:
    """What the network saw: left, top, right, bottom in pixels of the upright image."""

    width: int
    height: int
    box: tuple[int, int, int, int]


@dataclass(frozen=True)
class Model:
    """A model that is served; `card` is all that the service says of it."""

    name: str
    labels: tuple[str, ...]
    input_size: tuple[int, int]
    sha256: str
    is_default: bool
    is_ready: bool
    layers: tuple[str, ...]
    composites: tuple[str, ...]
    attributors: tuple[str, ...]
    card: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, repr=False)
class Prediction:
    """The best classes of an image, the best one first."""

    model: str
    model_sha256: str
    predictions: tuple[Score, ...]
    image: ImageBox
    timing_ms: Mapping[str, float]

    def __repr__(self) -> str:
        return f"<Prediction of {self.model}: {', '.join(map(str, self.predictions))}>"


@dataclass(frozen=True, repr=False, eq=False)  # arrays have no single equality
class Explanation(Prediction):
    """What speaks for a class, and what against it.

    Attributes
    ----------
    relevance : float32 array or None
        (height, width), or (channels, height, width) with `channels="all"`; None where `output`
        did not ask for it. So are `heatmap` and `overlay`, the bytes of PNGs.
    bound : float
        The absolute relevance that has the full colour.
    conservation, method : mapping
        How much of the relevance arrived; every parameter that was in effect.
    """

    target: Score
    method: Mapping[str, Any]
    bound: float
    conservation: Mapping[str, Any]
    layers_without_rule: tuple[str, ...]
    relevance: NDArray[np.float32] | None
    heatmap: bytes | None
    overlay: bytes | None

    def __repr__(self) -> str:
        shape = "no relevance" if self.relevance is None else f"relevance {self.relevance.shape}"
        return (
            f"<Explanation of {self.target} by {self.method['composite']}, "
            f"{self.method['attributor']}: {shape}, bound {self.bound:.3g}>"
        )

    def _repr_png_(self) -> bytes | None:
        """The picture that Jupyter shows: the overlay if it is there, else the heatmap."""
        return self.overlay or self.heatmap


def read_model(answer: Mapping[str, Any]) -> Model:
    """A model, of its JSON."""
    return Model(
        name=answer["name"],
        labels=tuple(answer["labels"]),
        input_size=(answer["input_size"][0], answer["input_size"][1]),
        sha256=answer["sha256"],
        is_default=answer["default"],
        is_ready=answer["ready"],
        layers=tuple(layer["name"] for layer in answer["layers"]),
        composites=tuple(one["name"] for one in answer["composites"]),
        attributors=tuple(one["name"] for one in answer["attributors"]),
        card=answer,
    )


def read_prediction(answer: Mapping[str, Any], timing_ms: Mapping[str, float]) -> Prediction:
    """The answer of `/predict`, of its JSON."""
    return Prediction(**_of_image(answer, timing_ms))


def read_explanations(
    answer: Mapping[str, Any], timing_ms: Mapping[str, float]
) -> tuple[Explanation, ...]:
    """The answer of `/explain`, of its JSON: one for each class that was asked for."""
    shared = _of_image(answer, timing_ms)
    shared |= {
        "method": answer["method"],
        "layers_without_rule": tuple(answer["layers_without_rule"]),
    }
    return tuple(
        Explanation(
            **shared,
            target=Score(**one["target"]),
            bound=one["bound"],
            conservation=one["conservation"],
            relevance=_array(one.get("relevance")),
            heatmap=_picture(one.get("heatmap")),
            overlay=_picture(one.get("overlay")),
        )
        for one in answer.get("explanations", [answer])
    )


def _of_image(answer: Mapping[str, Any], timing_ms: Mapping[str, float]) -> dict[str, Any]:
    seen = answer["image"]
    left, top, right, bottom = seen["box"]
    return {
        "model": answer["model"],
        "model_sha256": answer["model_sha256"],
        "predictions": tuple(Score(**one) for one in answer["predictions"]),
        "image": ImageBox(seen["width"], seen["height"], (left, top, right, bottom)),
        "timing_ms": timing_ms,
    }


def _picture(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def _array(answer: Mapping[str, Any] | None) -> NDArray[np.float32] | None:
    if answer is None:
        return None
    data = answer["data"]
    flat = np.frombuffer(base64.b64decode(data), "<f4") if isinstance(data, str) else data
    return np.array(flat, np.float32).reshape(answer["shape"])
