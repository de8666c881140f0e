"""Relevance of a `PatchNetwork`, written down: every input has one window, so no sum is hidden.

Nothing here differentiates, or uses the service's rules. `x` is of shape (patches, 1, inputs), `w`
(features, inputs), `b` (features); shares are of shape (patches, features, inputs).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from training.ground_truth.planted import PATCH_PX, PatchNetwork
from training.ground_truth.scenes import SIZE

Floats = NDArray[np.float64]
ShareFn = Callable[[Floats, Floats, Floats], Floats]
EPSILON = STABILIZER = 1e-6  # the defaults of the composites
BETA = 10.0  # likewise, of beta_smooth
LOW, HIGH = -2.0, 2.0  # of the network's input: black and white
_GRID = SIZE // PATCH_PX


def positive(values: Floats) -> Floats:
    part: Floats = np.maximum(values, 0)
    return part


def negative(values: Floats) -> Floats:
    part: Floats = np.minimum(values, 0)
    return part


def epsilon_share(x: Floats, w: Floats, b: Floats) -> Floats:
    z = (x * w).sum(-1) + b
    share: Floats = x * w / (z + EPSILON * np.where(z < 0, -1, 1))[..., None]
    return share


def zplus_share(x: Floats, w: Floats, b: Floats) -> Floats:
    parts = positive(x * w)
    share: Floats = parts / (parts.sum(-1) + positive(b) + STABILIZER)[..., None]
    return share


def alpha2_beta1_share(x: Floats, w: Floats, b: Floats) -> Floats:
    against = negative(x * w)
    z = against.sum(-1) + negative(b) - STABILIZER
    share: Floats = 2 * zplus_share(x, w, b) - against / z[..., None]
    return share


def box_share(x: Floats, w: Floats, b: Floats) -> Floats:
    parts = x * w - LOW * positive(w) - HIGH * negative(w)
    share: Floats = parts / (parts.sum(-1) + STABILIZER)[..., None]
    return share


def flat_share(x: Floats, w: Floats, b: Floats) -> Floats:
    share: Floats = np.ones_like(x * w) / w.shape[-1]
    return share


# the rules of the convolution and of the linear layer
RULES: Mapping[str, tuple[ShareFn, ShareFn]] = {
    "epsilon_plus_flat": (flat_share, epsilon_share),
    "epsilon_plus": (zplus_share, epsilon_share),
    "epsilon_alpha2_beta1": (alpha2_beta1_share, epsilon_share),
    "epsilon_alpha2_beta1_flat": (flat_share, epsilon_share),
    "epsilon_gamma_box": (box_share, epsilon_share),
    "excitation_backprop": (zplus_share, zplus_share),
}
# what a ReLU with the input z makes of the relevance r
GRADIENTS: Mapping[str, Callable[[Floats, Floats], Floats]] = {
    "deconvnet": lambda z, r: positive(r),
    "guided_backprop": lambda z, r: (z > 0) * positive(r),
    "beta_smooth": lambda z, r: r / (1 + np.exp(-BETA * z)),
    "none": lambda z, r: (z > 0) * r,
}


def relevance(
    network: PatchNetwork, image: Floats, target: int, composite: str, *, is_logit: bool
) -> Floats:
    """Relevance of a normalized image, shape (3, SIZE, SIZE)."""
    x, w, b = _patches(image)[:, None], *_weights(network.features[0])
    v, c = _weights(network.classifier[1])
    z = (x * w).sum(-1) + b
    h, v_target = positive(z), v[target].reshape(-1, _GRID**2).T
    logit = float((h * v_target).sum() + c[target])
    total = logit if is_logit else 1.0
    if composite in GRADIENTS:
        of_relu = GRADIENTS[composite](z, v_target * total)
        return _image((of_relu[..., None] * w).sum(1))
    first, last = RULES[composite]
    of_features = total * last(h.reshape(1, -1), v_target.reshape(1, -1), c[target : target + 1])
    shares = first(x, w, b)
    return _image((of_features.reshape(h.shape)[..., None] * shares).sum(1))


def _weights(layer: object) -> tuple[Floats, Floats]:
    weight, bias = layer.weight, layer.bias  # type: ignore[attr-defined]
    return weight.flatten(1).double().numpy(), bias.double().numpy()


def _patches(image: Floats) -> Floats:
    """Shape (patches, inputs), with the inputs in the order of the convolution's weights."""
    split = image.reshape(3, _GRID, PATCH_PX, _GRID, PATCH_PX)
    return split.transpose(1, 3, 0, 2, 4).reshape(_GRID**2, -1)


def _image(patches: Floats) -> Floats:
    split = patches.reshape(_GRID, _GRID, 3, PATCH_PX, PATCH_PX)
    return split.transpose(2, 0, 3, 1, 4).reshape(3, SIZE, SIZE)
