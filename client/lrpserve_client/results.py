"""Responses as objects: scores, relevance as an array, heatmaps."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrpserve_client.evidence import Evidence, read_evidence


@dataclass(frozen=True)
class Score:
    """A class and its scores."""

    index: int
    label: str
    probability: float
    logit: float

    def __str__(self) -> str:
        return f"{self.label} {self.probability:.1%}"


@dataclass(frozen=True)
class ImageBox:
    """The image's size, and the box that the network saw: left, top, right, bottom in pixels."""

    width: int
    height: int
    box: tuple[int, int, int, int]


@dataclass(frozen=True)
class Model:
    """A model that is served; `card` is the whole response of `/models/{name}`."""

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


@dataclass(frozen=True)
class ModelChange:
    """A model that was loaded again: the hashes of its weights, now and before (None: not loaded).

    `is_changed` is False where the same bundle was served already; `workers` have followed.
    """

    name: str
    sha256: str
    previous_sha256: str | None
    is_changed: bool
    workers: int


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
    """The relevance of a class: positive for pixels that speak for it, negative against it.

    Attributes
    ----------
    relevance : float32 array or None
        (height, width), or (channels, height, width) with `channels="all"`; None if `output`
        excludes it.
    heatmap, overlay : bytes or None
        PNGs; None if `output` excludes them.
    view, original : bytes or None
        PNGs of the part of the image that the network saw, and of the whole image; None unless
        `output` names them.
    bound : float
        The absolute relevance that has full colour.
    conservation : mapping
        The account of the score: `positive`, `negative` and `absorbed` sum to `start`.
    method : mapping
        Every effective parameter.
    layers_without_rule : tuple of str
        Layers that passed a plain gradient.
    evidence : Evidence or None
        Whether the map is right about the image; None unless `output` names it.
    """

    target: Score
    method: Mapping[str, Any]
    bound: float
    conservation: Mapping[str, Any]
    layers_without_rule: tuple[str, ...]
    relevance: NDArray[np.float32] | None
    heatmap: bytes | None
    overlay: bytes | None
    view: bytes | None
    original: bytes | None
    evidence: Evidence | None = None

    def __repr__(self) -> str:
        shape = "no relevance" if self.relevance is None else f"relevance {self.relevance.shape}"
        return (
            f"<Explanation of {self.target} by {self.method['composite']}, "
            f"{self.method['attributor']}: {shape}, bound {self.bound:.3g}>"
        )

    def _repr_png_(self) -> bytes | None:
        """What Jupyter shows: the overlay if there is one, else the heatmap."""
        return self.overlay or self.heatmap


@dataclass(frozen=True, repr=False, eq=False)
class LayerRelevance:
    """The relevance at a layer.

    Attributes
    ----------
    relevance : float32 array or None
        In the shape of the layer's output, whose channels are summed unless `channels="all"`; None
        if `output` excludes it.
    heatmap, overlay : bytes or None
        PNGs; None if `output` excludes them, or the layer has no rows and columns.
    bound, conservation
        As in `Explanation`.
    """

    layer: str
    bound: float
    conservation: Mapping[str, Any]
    relevance: NDArray[np.float32] | None
    heatmap: bytes | None
    overlay: bytes | None

    def __repr__(self) -> str:
        shape = "no relevance" if self.relevance is None else f"relevance {self.relevance.shape}"
        return f"<LayerRelevance at {self.layer}: {shape}, bound {self.bound:.3g}>"


@dataclass(frozen=True, repr=False, eq=False)
class LayersExplanation(Prediction):
    """The relevance of a class at several layers.

    Attributes
    ----------
    layers : mapping of str to LayerRelevance
        By name, from the network's output to the image.
    target, method, layers_without_rule, view, original
        As in `Explanation`.
    """

    target: Score
    method: Mapping[str, Any]
    layers_without_rule: tuple[str, ...]
    layers: Mapping[str, LayerRelevance]
    view: bytes | None
    original: bytes | None

    def __repr__(self) -> str:
        composite, n = self.method["composite"], len(self.layers)
        return f"<LayersExplanation of {self.target} by {composite}: {n} layers>"


def read_model(content: Mapping[str, Any]) -> Model:
    """Parse a model."""
    return Model(
        name=content["name"],
        labels=tuple(content["labels"]),
        input_size=(content["input_size"][0], content["input_size"][1]),
        sha256=content["sha256"],
        is_default=content["default"],
        is_ready=content["ready"],
        layers=tuple(layer["name"] for layer in content["layers"]),
        composites=tuple(composite["name"] for composite in content["composites"]),
        attributors=tuple(attributor["name"] for attributor in content["attributors"]),
        card=content,
    )


def read_change(content: Mapping[str, Any]) -> ModelChange:
    """Parse what a reload has done."""
    return ModelChange(**{name: content[name] for name in ModelChange.__dataclass_fields__})


def read_prediction(content: Mapping[str, Any], timing_ms: Mapping[str, float]) -> Prediction:
    """Parse the response of `/predict`."""
    return Prediction(**_common_fields(content, timing_ms))


def read_explanations(
    content: Mapping[str, Any], timing_ms: Mapping[str, float]
) -> tuple[Explanation, ...]:
    """Parse the response of `/explain`: one explanation for each target."""
    shared = _explained_fields(content, timing_ms)
    return tuple(
        Explanation(
            **shared,
            target=Score(**each["target"]),
            **_relevance_fields(each),
            evidence=read_evidence(each.get("evidence")),
        )
        for each in content.get("explanations", [content])
    )


def read_layers(
    content: Mapping[str, Any], timing_ms: Mapping[str, float]
) -> tuple[LayersExplanation, ...]:
    """Parse the response of `/explain` with `layers`: one explanation for each target."""
    shared = _explained_fields(content, timing_ms)
    return tuple(
        LayersExplanation(
            **shared,
            target=Score(**each["target"]),
            layers={
                one["layer"]: LayerRelevance(one["layer"], **_relevance_fields(one))
                for one in each["layers"]
            },
        )
        for each in content.get("explanations", [content])
    )


def _explained_fields(content: Mapping[str, Any], timing_ms: Mapping[str, float]) -> dict[str, Any]:
    """The fields that all targets share."""
    return _common_fields(content, timing_ms) | {
        "method": content["method"],
        "layers_without_rule": tuple(content["layers_without_rule"]),
        "view": _png(content["image"].get("view")),
        "original": _png(content["image"].get("original")),
    }


def _relevance_fields(content: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "bound": content["bound"],
        "conservation": content["conservation"],
        "relevance": _array(content.get("relevance")),
        "heatmap": _png(content.get("heatmap")),
        "overlay": _png(content.get("overlay")),
    }


def _common_fields(content: Mapping[str, Any], timing_ms: Mapping[str, float]) -> dict[str, Any]:
    image = content["image"]
    left, top, right, bottom = image["box"]
    return {
        "model": content["model"],
        "model_sha256": content["model_sha256"],
        "predictions": tuple(Score(**score) for score in content["predictions"]),
        "image": ImageBox(image["width"], image["height"], (left, top, right, bottom)),
        "timing_ms": timing_ms,
    }


def _png(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def _array(content: Mapping[str, Any] | None) -> NDArray[np.float32] | None:
    if content is None:
        return None
    data = content["data"]
    flat = np.frombuffer(base64.b64decode(data), "<f4") if isinstance(data, str) else data
    return np.array(flat, np.float32).reshape(content["shape"])
