"""zennit called directly, on a network of its own: what the service's relevance has to equal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from zennit.attribution import Gradient
from zennit.composites import COMPOSITES
from zennit.core import Composite

from service.methods import Method
from service.models.bundles import Bundle, read_bundle
from service.models.registry import find_bundle
from service.settings import DEFAULT_MODEL


def zennit_composite(method: Method, bundle: Bundle) -> Composite | None:
    """Zennit's composite of a method, made without the service's own map."""
    if method.composite == "none":
        return None
    values: dict[str, Any] = dict(method.parameters)
    if "beta" in values:
        values["beta_smooth"] = values.pop("beta")
    if values.pop("zero_bias", False):
        values["zero_params"] = "bias"
    if method.composite == "epsilon_gamma_box":
        values["low"] = _pixel(0.0, bundle)
        values["high"] = _pixel(1.0, bundle)
    return COMPOSITES[method.composite](**values)


def _pixel(value: float, bundle: Bundle) -> Tensor:
    mean, std = torch.tensor(bundle.card.mean), torch.tensor(bundle.card.std)
    return ((value - mean) / std).view(1, 3, 1, 1)


def normalized(images: list[NDArray[np.uint8]], bundle: Bundle) -> Tensor:
    """A batch as the network takes it."""
    mean = torch.tensor(bundle.card.mean).view(3, 1, 1)
    std = torch.tensor(bundle.card.std).view(3, 1, 1)
    scaled = torch.stack([torch.from_numpy(image).permute(2, 0, 1) / 255 for image in images])
    return (scaled - mean) / std


def reference_model() -> nn.Module:
    """The shipped network, just read; its ReLUs do not work in place, where zennit is wrong."""
    model = read_bundle(find_bundle(DEFAULT_MODEL)).model
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return model


def zennit_explain(
    images: list[NDArray[np.uint8]], start: Callable[[Tensor], Tensor], method: Method
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Logits and relevance of images in double precision."""
    bundle = read_bundle(find_bundle(DEFAULT_MODEL))
    attributor = Gradient(reference_model().double(), zennit_composite(method, bundle))
    logits, relevance = attributor(normalized(images, bundle).double(), start)
    return logits.detach().numpy(), relevance.detach().numpy()
