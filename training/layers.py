"""Relevance at the output of each layer of a network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from service.lrp.attribution.output_relevance import OutputRelevance
from service.lrp.explainer import Explainer
from service.methods import INPUT, Method


@dataclass(frozen=True)
class LayerRelevance:
    """The relevance of a layer's output.

    Attributes
    ----------
    name : str
        Name of the layer, or `input`.
    total : float
        Sum of the relevance.
    map : NDArray[float32] or None
        Summed over the channels, shape (H, W); None where a tensor has no rows and columns.
    """

    name: str
    total: float
    map: NDArray[np.float32] | None


def relevance_by_layer(model: nn.Module, image: Tensor, method: Method) -> list[LayerRelevance]:
    """Propagate relevance from the predicted class, and record it at each layer.

    Parameters
    ----------
    model : nn.Module
        In evaluation mode.
    image : Tensor
        Normalized, shape (1, 3, H, W).
    method : Method
        The rules.

    Returns
    -------
    list of LayerRelevance
        From the output down to the input, at the layers that every path crosses, without those that
        pass relevance unchanged (ReLU, dropout).
    """
    return list(_measure(Explainer(model), image, method))


def _measure(explainer: Explainer, image: Tensor, method: Method) -> Iterator[LayerRelevance]:
    prepared = explainer.prepare(method)
    starts = [OutputRelevance.predicted(len(image), is_logit=prepared.default_start == "logit")]
    for layer in (*prepared.recorded_layers, INPUT):
        found = explainer.explain(image, starts, replace(method, layer=layer))
        values = found.relevances[0]
        has_space = values.ndim == 4
        total = float(values.double().sum())
        yield LayerRelevance(layer, total, values[0].sum(0).numpy() if has_space else None)
