"""zennit called directly, on a network of its own: what the service's relevance has to equal."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from zennit.attribution import Gradient
from zennit.composites import EpsilonPlus, EpsilonPlusFlat
from zennit.core import Composite

from service.methods import Method
from service.models.bundles import Bundle, read_bundle
from service.models.registry import find_bundle
from service.settings import DEFAULT_MODEL

COMPOSITES: dict[str, Callable[..., Composite]] = {
    "epsilon_plus_flat": EpsilonPlusFlat,
    "epsilon_plus": EpsilonPlus,
}


def zennit_composite(method: Method) -> Composite | None:
    """Zennit's composite of a method, made without the service's own map."""
    if method.composite == "none":
        return None
    return COMPOSITES[method.composite](
        epsilon=method["epsilon"],
        stabilizer=method["stabilizer"],
        zero_params="bias" if method["zero_bias"] else None,
    )


def normalized(images: list[NDArray[np.uint8]], bundle: Bundle) -> Tensor:
    """A batch as the network takes it."""
    mean = torch.tensor(bundle.card.mean).view(3, 1, 1)
    std = torch.tensor(bundle.card.std).view(3, 1, 1)
    scaled = torch.stack([torch.from_numpy(image).permute(2, 0, 1) / 255 for image in images])
    return (scaled - mean) / std


def zennit_explain(
    images: list[NDArray[np.uint8]], start: Callable[[Tensor], Tensor], method: Method
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Logits and relevance of images, by a network that was just read from its files."""
    bundle = read_bundle(find_bundle(DEFAULT_MODEL))
    attributor = Gradient(bundle.model, zennit_composite(method))
    logits, relevance = attributor(normalized(images, bundle), start)
    return logits.detach().numpy(), relevance.detach().numpy()
