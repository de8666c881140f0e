"""Jobs for a device thread, and their results. Needs no torch."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from service.evidence.cost import count_forwards
from service.evidence.findings import Findings
from service.methods import Method, Start

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class PredictJob:
    """Predict one image.

    Attributes
    ----------
    pixels : NDArray[uint8]
        RGB, shape (H, W, 3), of the size that the network takes.
    model : str
        Name of the model.
    version : str
        Digest of the card that the request was resolved against; empty for what is served.
    """

    pixels: Pixels
    model: str
    version: str = ""

    @property
    def key(self) -> Hashable:
        """Jobs with the same key can share a batch."""
        return self.model, self.version, "predict"

    @property
    def memory_class(self) -> Hashable:
        """Jobs of the same class need about the same memory."""
        return self.model, "predict"

    @property
    def n_passes(self) -> int:
        """Passes of the image through the network."""
        return 1


@dataclass(frozen=True, eq=False)
class ExplainJob:
    """Explain one image.

    Attributes
    ----------
    pixels, model, version
        As in `PredictJob`.
    method : Method
        The attributor, the rules and the layer.
    targets : tuple of (int or None)
        Indices of the classes to explain; None for the predicted one.
    contrast : int or None
        Index of the class to explain each target against.
    start : {"one_hot", "logit"} or None
        Relevance at the target: 1, or the logit; None for the method's default.
    has_evidence : bool
        Whether to find out, on this image, whether the explanation of each target is right.
    """

    pixels: Pixels
    model: str
    method: Method
    targets: tuple[int | None, ...] = (None,)
    contrast: int | None = None
    start: Start | None = None
    version: str = ""
    has_evidence: bool = False

    @property
    def key(self) -> Hashable:
        """Jobs with the same key can share a batch: targets and stabilizers differ freely."""
        kind = (self.method.batch_key, len(self.targets), self.has_evidence)
        return self.model, self.version, "explain", *kind

    @property
    def memory_class(self) -> Hashable:
        """Jobs of the same class need about the same memory."""
        method = self.method
        kind = (method.composite, method.attributor, bool(method.layers), self.has_evidence)
        return self.model, "explain", *kind

    @property
    def n_passes(self) -> int:
        """Passes of the image through the network."""
        height, width = self.pixels.shape[:2]
        n_targets, size = len(self.targets), (height, width)
        return count_passes(self.method, n_targets, size, has_evidence=self.has_evidence)


@dataclass(frozen=True, eq=False)
class Prediction:
    """Logits, float32 of shape (num_classes,)."""

    logits: Floats


@dataclass(frozen=True)
class LayerRelevance:
    """The sum of the relevance at the output of a layer."""

    layer: str
    arrived: float


@dataclass(frozen=True, eq=False)
class Attribution:
    """The relevance for one target.

    Attributes
    ----------
    target : int
        Index of the class that was explained.
    relevance : NDArray[float32]
        Shape (C, H, W); (C,) or another at a layer without space.
    total : float
        The relevance at the output, before it is propagated.
    by_layer : tuple of LayerRelevance or None
        From the output to the requested layer: that one, and those that every path crosses;
        None where the method does not conserve.
    layers : mapping of str to NDArray[float32]
        Relevance at each of `Method.layers`, of the shape of one output or, summed over its
        channels, (H, W).
    findings : Findings or None
        The evidence about it, where the job asks for that.
    """

    target: int
    relevance: Floats
    total: float
    by_layer: tuple[LayerRelevance, ...] | None
    layers: Mapping[str, Floats] = field(default_factory=dict)
    findings: Findings | None = None


@dataclass(frozen=True, eq=False)
class Explanation:
    """The relevance of an image, or of the output of a layer.

    Attributes
    ----------
    logits : NDArray[float32]
        Shape (num_classes,).
    attributions : tuple of Attribution
        One for each target.
    start : {"one_hot", "logit"}
        The relevance at each target: 1, or the logit.
    engine : {"twin", "zennit"}
        The implementation of the rules that ran.
    layers_without_rule : tuple of str
        Layers and functions that pass a plain gradient though the method has rules.
    """

    logits: Floats
    attributions: tuple[Attribution, ...]
    start: Start
    engine: str
    layers_without_rule: tuple[str, ...]


@dataclass(frozen=True)
class LayerInfo:
    """A layer whose relevance can be requested.

    Attributes
    ----------
    name : str
        One per use: the second use of `relu` is `relu#2`. The image is `input`.
    kind : str
        The class of its module.
    shape : tuple of int
        Of its output, without the batch.
    """

    name: str
    kind: str
    shape: tuple[int, ...]

    @property
    def has_space(self) -> bool:
        """Whether its output has height and width, so that its relevance can be drawn."""
        return len(self.shape) == 3 and self.kind != "Linear"  # whose channels are the last


Job = PredictJob | ExplainJob
Result = Prediction | Explanation


def count_passes(
    method: Method, n_targets: int, input_size: tuple[int, int], *, has_evidence: bool
) -> int:
    """Count the passes of one image through the network: those of each target count apart."""
    n_passes = method.n_passes(n_targets, input_size)
    return n_passes + (count_forwards(n_targets, n_passes) if has_evidence else 0)
