"""Layer-wise Relevance Propagation written down as matrices: numpy in float64, nothing else.

It shares no code with the service, nor with the library that the service stands on, so an error
that those two share shows here. Activations are flat vectors (channels, rows, columns in C order),
a convolution is unrolled into the matrix that it is, and each rule is its equation:

- epsilon: Bach et al. 2015, PLOS ONE 10(7):e0130140, equation 58
- z+ (alpha 1, beta 0): there, equation 60; where inputs may be negative, it is the positive
  *contributions* that count, not the positive weights
- flat: Lapuschkin et al. 2019, Nature Communications 10:1096, equation 8
- a ReLU passes relevance on; a max-pooling gives it to the winner
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rule = Literal["epsilon", "zplus", "flat", "gradient"]


@dataclass(frozen=True)
class Affine:
    """`z = matrix @ a + bias`; `mask` is 1 where an input is connected to an output."""

    matrix: Floats
    bias: Floats
    mask: Floats
    rule: Rule


@dataclass(frozen=True)
class ReLU:
    """`max(z, 0)`."""

    rule: Literal["pass", "gradient"]


@dataclass(frozen=True)
class MaxPool:
    """The largest of each group of inputs: `groups` has shape (outputs, inputs per group)."""

    groups: NDArray[np.int64]


Layer = Affine | ReLU | MaxPool


@dataclass(frozen=True)
class Parameters:
    """Of the rules."""

    epsilon: float
    stabilizer: float
    zero_bias: bool


def dense(weight: Floats, bias: Floats, rule: Rule) -> Affine:
    """A linear layer."""
    return Affine(weight, bias, np.ones_like(weight), rule)


def convolution(
    weight: Floats, bias: Floats, size: tuple[int, int], padding: int, rule: Rule
) -> Affine:
    """A convolution of stride 1 over an input of `size`, unrolled."""
    matrix = _unroll(weight, size, padding)
    n_positions = matrix.shape[0] // weight.shape[0]
    mask = _unroll(np.ones_like(weight), size, padding)
    return Affine(matrix, np.repeat(bias, n_positions), mask, rule)


def _unroll(weight: Floats, size: tuple[int, int], padding: int) -> Floats:
    n_out, n_in, kernel_height, kernel_width = weight.shape
    height, width = size
    out_height = height + 2 * padding - kernel_height + 1
    out_width = width + 2 * padding - kernel_width + 1
    matrix = np.zeros((n_out, out_height, out_width, n_in, height, width))
    for y, x in np.ndindex(out_height, out_width):
        for ky, kx in np.ndindex(kernel_height, kernel_width):
            row, column = y + ky - padding, x + kx - padding
            if 0 <= row < height and 0 <= column < width:
                matrix[:, y, x, :, row, column] = weight[:, :, ky, kx]
    return matrix.reshape(n_out * out_height * out_width, n_in * height * width)


def max_pool(shape: tuple[int, int, int], side: int) -> MaxPool:
    """Max-pooling of windows of `side` without overlap, over (channels, height, width)."""
    channels, height, width = shape
    indices = np.arange(channels * height * width).reshape(
        channels, height // side, side, width // side, side
    )
    return MaxPool(indices.transpose(0, 1, 3, 2, 4).reshape(-1, side * side))


def propagate(
    layers: Sequence[Layer],
    image: Floats,
    start: Callable[[Floats], Floats],
    parameters: Parameters,
) -> tuple[Floats, Floats]:
    """The logits of an image, and the relevance of its pixels (flat vectors)."""
    activations = [image]
    for layer in layers:
        activations.append(_forward(layer, activations[-1]))
    logits = activations.pop()
    relevance = start(logits)
    for layer, activation in zip(reversed(layers), reversed(activations), strict=True):
        relevance = _backward(layer, activation, relevance, parameters)
    return logits, relevance


def _forward(layer: Layer, a: Floats) -> Floats:
    if isinstance(layer, Affine):
        return layer.matrix @ a + layer.bias
    if isinstance(layer, ReLU):
        return np.maximum(a, 0)
    largest: Floats = a[layer.groups].max(axis=1)
    return largest


def _backward(layer: Layer, a: Floats, relevance: Floats, parameters: Parameters) -> Floats:
    if isinstance(layer, Affine):
        return _RULES[layer.rule](layer, a, relevance, parameters)
    if isinstance(layer, ReLU):
        return relevance if layer.rule == "pass" else relevance * (a > 0)
    arrived = np.zeros_like(a)
    winners = layer.groups[np.arange(len(layer.groups)), a[layer.groups].argmax(axis=1)]
    arrived[winners] = relevance
    return arrived


def _epsilon(layer: Affine, a: Floats, relevance: Floats, parameters: Parameters) -> Floats:
    contributions = layer.matrix * a
    z = contributions.sum(axis=1) + (0 if parameters.zero_bias else layer.bias)
    return contributions.T @ (relevance / _stabilized(z, parameters.epsilon))


def _zplus(layer: Affine, a: Floats, relevance: Floats, parameters: Parameters) -> Floats:
    contributions = np.maximum(layer.matrix * a, 0)
    bias = 0 if parameters.zero_bias else np.maximum(layer.bias, 0)
    z = contributions.sum(axis=1) + bias
    return contributions.T @ (relevance / _stabilized(z, parameters.stabilizer))


def _flat(layer: Affine, a: Floats, relevance: Floats, parameters: Parameters) -> Floats:
    z = layer.mask.sum(axis=1)
    return layer.mask.T @ (relevance / _stabilized(z, parameters.stabilizer))


def _gradient(layer: Affine, a: Floats, relevance: Floats, parameters: Parameters) -> Floats:
    return layer.matrix.T @ relevance


_RULES = {"epsilon": _epsilon, "zplus": _zplus, "flat": _flat, "gradient": _gradient}


def _stabilized(z: Floats, epsilon: float) -> Floats:
    return z + epsilon * np.where(z >= 0, 1.0, -1.0)
