"""The relevance that reaches each layer of a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from zennit.attribution import Gradient

from service.lrp.composites import make_composite
from service.lrp.explainer import share_weights
from service.methods import Method


@dataclass(frozen=True)
class LayerRelevance:
    """The relevance of a layer's output.

    Attributes
    ----------
    name : str
        Of the layer, or `input`.
    total : float
        Sum of the relevance.
    map : NDArray[float32] or None
        Summed over the channels, shape (H, W); None where there is no space.
    """

    name: str
    total: float
    map: NDArray[np.float32] | None


def relevance_by_layer(model: nn.Module, image: Tensor, method: Method) -> list[LayerRelevance]:
    """Propagate relevance from the predicted class, and keep what arrives at each layer.

    Parameters
    ----------
    model : nn.Module
        In evaluation mode, made of modules that come one after the other.
    image : Tensor
        Normalized, shape (1, 3, H, W).
    method : Method
        The rules.

    Returns
    -------
    list of LayerRelevance
        From the output down to the input; layers that hand relevance on unchanged in the same
        shape (ReLU, dropout) are left out.
    """
    twin = share_weights(model)
    outputs: dict[str, Tensor] = {}
    handles = [
        module.register_forward_hook(_keep(outputs, name))
        for name, module in twin.named_modules()
        if isinstance(module, (nn.Conv2d, nn.Linear, nn.MaxPool2d))
    ]
    with Gradient(twin, make_composite(method)) as attributor:
        _, relevance = attributor(image, _one_hot)
    for handle in handles:
        handle.remove()
    layers = [_measure(name, output.grad) for name, output in reversed(outputs.items())]
    return [*layers, _measure("input", relevance)]


def _keep(outputs: dict[str, Tensor], name: str) -> Callable[[nn.Module, object, Tensor], None]:
    def hook(module: nn.Module, inputs: object, output: Tensor) -> None:
        output.retain_grad()
        outputs[name] = output

    return hook


def _one_hot(logits: Tensor) -> Tensor:
    return nn.functional.one_hot(logits.argmax(1), logits.shape[1]).to(logits)


def _measure(name: str, relevance: Tensor | None) -> LayerRelevance:
    if relevance is None:
        raise ValueError(f"no relevance has reached {name}")
    values = relevance.detach()
    has_space = values.ndim == 4
    return LayerRelevance(
        name,
        float(values.double().sum()),
        values[0].sum(0).numpy() if has_space else None,
    )
