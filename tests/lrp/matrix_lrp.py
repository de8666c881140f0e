"""Layer-wise Relevance Propagation written down as matrices: numpy in float64, nothing else.

It shares no code with the service, nor with the library that the service stands on, so an error
that those two share shows here. Activations are flat vectors (channels, rows, columns in C order),
a convolution is unrolled into the matrix that it is, an average pool is one too, and the rules
(`tests.lrp.matrix_rules`) are equations of matrices. A max-pooling gives its relevance to the
winner; of several, to the first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tests.lrp import matrix_rules
from tests.lrp.matrix_rules import Affine, Floats, Rule

Pair = tuple[int, int]


@dataclass(frozen=True)
class ReLU:
    """`max(z, 0)`."""

    rule: Rule


@dataclass(frozen=True)
class MaxPool:
    """The largest of each window of inputs: `windows` has shape (outputs, inputs), 1 where inside.

    What a padding adds is in no window, so it never wins.
    """

    windows: Floats


@dataclass(frozen=True)
class Sum:
    """The sum of branches that start from the same input; one without layers is a skip."""

    branches: tuple[tuple[Layer, ...], ...]
    rule: Rule


Layer = Affine | ReLU | MaxPool | Sum


@dataclass(frozen=True)
class Sliding:
    """How a kernel moves over an input of `size`; pairs are (vertical, horizontal)."""

    size: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    def n_steps(self, kernel: Pair) -> Pair:
        """Height and width of the output."""
        height, width = (
            (size + 2 * padding - dilation * (side - 1) - 1) // stride + 1
            for size, padding, dilation, side, stride in zip(
                self.size, self.padding, self.dilation, kernel, self.stride, strict=True
            )
        )
        return height, width

    def pixel(self, step: Pair, offset: Pair) -> Pair | None:
        """The pixel under a place of the kernel, None where that lies in the padding."""
        row, column = (
            step[axis] * self.stride[axis] - self.padding[axis] + offset[axis] * self.dilation[axis]
            for axis in range(2)
        )
        is_inside = 0 <= row < self.size[0] and 0 <= column < self.size[1]
        return (row, column) if is_inside else None


def dense(weight: Floats, bias: Floats | None, rule: Rule) -> Affine:
    """A linear layer."""
    bias = np.zeros(len(weight)) if bias is None else bias
    return Affine(weight, bias, np.ones_like(weight), rule)


def convolution(weight: Floats, bias: Floats | None, sliding: Sliding, rule: Rule) -> Affine:
    """A convolution, unrolled; `weight` has shape (outputs, inputs per group, height, width)."""
    matrix = _unroll(weight, sliding)
    bias = np.zeros(len(weight)) if bias is None else bias
    n_positions = len(matrix) // len(weight)
    mask = _unroll(np.ones_like(weight), sliding)
    return Affine(matrix, np.repeat(bias, n_positions), mask, rule)


def average_pool(n_channels: int, kernel: Pair, sliding: Sliding, rule: Rule) -> Affine:
    """Average-pooling; what a padding adds counts as zeros, as in torch."""
    mask = _windows(n_channels, kernel, sliding)
    matrix = mask / (kernel[0] * kernel[1])
    return Affine(matrix, np.zeros(len(matrix)), mask, rule)


def batch_norm(scale: Floats, shift: Floats, size: Pair, rule: Rule) -> Affine:
    """A batch norm of a trained network: `scale * a + shift` in each channel."""
    matrix = np.diag(np.repeat(scale, size[0] * size[1]))
    return Affine(matrix, np.repeat(shift, size[0] * size[1]), np.eye(len(matrix)), rule)


def max_pool(n_channels: int, kernel: Pair, sliding: Sliding) -> MaxPool:
    """Max-pooling."""
    return MaxPool(_windows(n_channels, kernel, sliding))


def _windows(n_channels: int, kernel: Pair, sliding: Sliding) -> Floats:
    return _unroll(
        np.ones((n_channels, 1, *kernel)),
        Sliding(sliding.size, sliding.stride, sliding.padding, sliding.dilation, groups=n_channels),
    )


def _unroll(weight: Floats, sliding: Sliding) -> Floats:
    n_out, n_in_group, *sides = weight.shape
    n_out_group, n_in = n_out // sliding.groups, n_in_group * sliding.groups
    kernel = (sides[0], sides[1])
    steps = sliding.n_steps(kernel)
    matrix = np.zeros((n_out, *steps, n_in, *sliding.size))
    for group, y, x, ky, kx in np.ndindex(sliding.groups, *steps, *kernel):
        outs = slice(group * n_out_group, (group + 1) * n_out_group)
        ins = slice(group * n_in_group, (group + 1) * n_in_group)
        pixel = sliding.pixel((y, x), (ky, kx))
        if pixel is not None:
            matrix[outs, y, x, ins, *pixel] = weight[outs, :, ky, kx]
    return matrix.reshape(n_out * steps[0] * steps[1], -1)


def propagate(
    layers: Sequence[Layer], image: Floats, start: Callable[[Floats], Floats]
) -> tuple[Floats, Floats, float]:
    """The logits of an image, the relevance of its pixels, and the condition number of that.

    Logits and relevance are flat vectors. The condition number is the sum over the layers of the
    largest of each layer's denominators: so many roundings of one layer after the other add up.
    """
    logits = _run(layers, image)
    return logits, *_hand_back(layers, image, start(logits))


def _run(layers: Sequence[Layer], a: Floats) -> Floats:
    for layer in layers:
        a = _forward(layer, a)
    return a


def _hand_back(layers: Sequence[Layer], a: Floats, relevance: Floats) -> tuple[Floats, float]:
    """The relevance of the input `a` of layers, given that of the output of the last."""
    if not layers:
        return relevance, 0.0
    first, *others = layers
    arrived, later = _hand_back(others, _forward(first, a), relevance)
    found, own = _backward(first, a, arrived)
    return found, own + later


def _forward(layer: Layer, a: Floats) -> Floats:
    if isinstance(layer, Affine):
        return layer.matrix @ a + layer.bias
    if isinstance(layer, ReLU):
        return np.maximum(a, 0)
    combined: Floats = (
        _outputs(layer, a).sum(axis=0) if isinstance(layer, Sum) else _inside(layer, a).max(axis=1)
    )
    return combined


def _backward(layer: Layer, a: Floats, relevance: Floats) -> tuple[Floats, float]:
    if isinstance(layer, Affine):
        return matrix_rules.affine(layer, a, relevance)
    if isinstance(layer, ReLU):
        return matrix_rules.relu(layer.rule, a, relevance), 0.0
    if isinstance(layer, Sum):
        return _backward_sum(layer, a, relevance)
    found = np.zeros_like(a)
    winners = _inside(layer, a).argmax(axis=1)
    np.add.at(found, winners, relevance)  # a pixel may win in several windows
    return found, 0.0


def _backward_sum(layer: Sum, a: Floats, relevance: Floats) -> tuple[Floats, float]:
    shares, condition = matrix_rules.total(layer.rule, _outputs(layer, a), relevance)
    branches = [
        _hand_back(branch, a, share) for branch, share in zip(layer.branches, shares, strict=True)
    ]
    found: Floats = np.sum([relevance for relevance, _ in branches], axis=0)
    return found, condition + max(condition for _, condition in branches)


def _outputs(layer: Sum, a: Floats) -> Floats:
    return np.array([_run(branch, a) for branch in layer.branches])


def _inside(layer: MaxPool, a: Floats) -> Floats:
    inside: Floats = np.where(layer.windows > 0, a, -np.inf)
    return inside
