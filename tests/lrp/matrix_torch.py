"""Networks of torch in matrix form: reads their weights and shapes, computes nothing with torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from torch import Tensor, nn

from tests.lrp import matrix_lrp
from tests.lrp.matrix_lrp import Layer, Pair, ReLU, Sliding, Sum
from tests.lrp.matrix_rules import Affine, Floats, Rule

Shape = tuple[int, int, int]  # channels, height, width
RuleOf = Callable[[nn.Module], Rule]


class Block(nn.Module):
    """A residual block: the sum of two branches, of which the second may be empty, a skip."""

    def __init__(self, branch: nn.Sequential, skip: nn.Sequential) -> None:
        super().__init__()
        self.branch, self.skip = branch, skip

    def forward(self, a: Tensor) -> Tensor:
        total: Tensor = self.branch(a) + self.skip(a)
        return total


def as_matrices(
    network: Iterable[nn.Module], shape: Shape, rule_of: RuleOf
) -> tuple[list[Layer], Shape]:
    """The layers of a network for inputs of a shape, and the shape of its outputs.

    A batch norm right behind a convolution is part of it: what a rule sees is what both compute.
    """
    layers: list[Layer] = []
    previous: nn.Module | None = None
    for module in network:
        if isinstance(previous, nn.Conv2d) and isinstance(module, nn.BatchNorm2d):
            before = layers.pop()
            assert isinstance(before, Affine)
            layers.append(_merged(before, module))
        elif not isinstance(module, nn.Flatten):
            layer, shape = _as_layer(module, shape, rule_of)
            layers.append(layer)
        previous = module
    return layers, shape


def _as_layer(module: nn.Module, shape: Shape, rule_of: RuleOf) -> tuple[Layer, Shape]:
    channels, *sides = shape
    size = (sides[0], sides[1])
    if isinstance(module, nn.ReLU):
        return ReLU(rule_of(module)), shape
    if isinstance(module, Block):
        branch, shape_after = as_matrices(module.branch, shape, rule_of)
        skip, _ = as_matrices(module.skip, shape, rule_of)
        return Sum((tuple(branch), tuple(skip)), rule_of(module)), shape_after
    if isinstance(module, nn.BatchNorm2d):
        scale, shift = _scale_and_shift(module)
        return matrix_lrp.batch_norm(scale, shift, size, rule_of(module)), shape
    if isinstance(module, nn.Linear):
        weight, bias = _array(module.weight), _optional(module.bias)
        return matrix_lrp.dense(weight, bias, rule_of(module)), (len(weight), 1, 1)
    if isinstance(module, nn.Conv2d):
        return _convolution(module, size, rule_of(module))
    return _pool(module, channels, size, rule_of)


def _convolution(module: nn.Conv2d, size: Pair, rule: Rule) -> tuple[Layer, Shape]:
    stride, dilation = _pair(module.stride), _pair(module.dilation)
    assert not isinstance(module.padding, str)
    sliding = Sliding(size, stride, _pair(module.padding), dilation, module.groups)
    layer = matrix_lrp.convolution(_array(module.weight), _optional(module.bias), sliding, rule)
    return layer, (module.out_channels, *sliding.n_steps(_pair(module.kernel_size)))


def _pool(module: nn.Module, channels: int, size: Pair, rule_of: RuleOf) -> tuple[Layer, Shape]:
    if isinstance(module, nn.AdaptiveAvgPool2d):
        assert module.output_size == 1
        layer = matrix_lrp.average_pool(channels, size, Sliding(size), rule_of(module))
        return layer, (channels, 1, 1)
    assert isinstance(module, nn.AvgPool2d | nn.MaxPool2d)
    kernel = _pair(module.kernel_size)
    sliding = Sliding(size, _pair(module.stride), _pair(module.padding))
    shape = (channels, *sliding.n_steps(kernel))
    if isinstance(module, nn.MaxPool2d):
        return matrix_lrp.max_pool(channels, kernel, sliding), shape
    return matrix_lrp.average_pool(channels, kernel, sliding, rule_of(module)), shape


def _merged(layer: Affine, norm: nn.BatchNorm2d) -> Affine:
    n_positions = len(layer.bias) // norm.num_features
    scale, shift = (np.repeat(values, n_positions) for values in _scale_and_shift(norm))
    matrix, bias = scale[:, None] * layer.matrix, scale * layer.bias + shift
    return Affine(matrix, bias, layer.mask, layer.rule)


def _scale_and_shift(norm: nn.BatchNorm2d) -> tuple[Floats, Floats]:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = _array(norm.weight) / np.sqrt(_array(norm.running_var) + norm.eps)
    return scale, _array(norm.bias) - scale * _array(norm.running_mean)


def _array(tensor: Tensor) -> Floats:
    return tensor.detach().double().numpy()


def _optional(bias: Tensor | None) -> Floats | None:
    return None if bias is None else _array(bias)


def _pair(value: int | tuple[int, ...]) -> Pair:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
