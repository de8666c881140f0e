"""Batch-invariant 2D convolutions: the result for an image does not depend on its batch.

On a CPU torch takes another algorithm for one small image than for a batch of them. That is slower
by half, and rounds differently: another pixel may then win a max-pool, and an image's relevance
would depend on its neighbours in the batch. Here oneDNN is taken always.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional


def batch_invariant_conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    """As `torch.nn.functional.conv2d`, without a gradient."""
    if not _uses_onednn(x):
        return functional.conv2d(x, weight, bias, stride, padding, dilation, groups)
    output: Tensor = torch.mkldnn_convolution(x, weight, bias, padding, stride, dilation, groups)
    return output


def _uses_onednn(x: Tensor) -> bool:
    is_float_on_cpu = x.device.type == "cpu" and x.dtype == torch.float32
    return is_float_on_cpu and torch.backends.mkldnn.is_available()


class BatchInvariantConv2d(nn.Conv2d):
    """A batch-invariant convolution; its weight gets no gradient."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # noqa: A002
        if not _uses_onednn(input) or isinstance(self.padding, str):
            output: Tensor = super()._conv_forward(input, weight, bias)
            return output
        settings = (self.stride, self.padding, self.dilation, self.groups)
        return _Conv2dFunction.apply(input, weight, bias, settings)  # type: ignore[no-any-return]


class _Conv2dFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, settings: Any) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.shape, ctx.settings = x.shape, settings
        return batch_invariant_conv2d(x, weight, bias, *settings)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (weight,) = ctx.saved_tensors
        stride, padding, dilation, groups = ctx.settings
        missing = output_padding(ctx.shape[2:], gradient.shape[2:], weight.shape[2:], *ctx.settings)
        found = functional.conv_transpose2d(
            gradient, weight, None, stride, padding, missing, groups, dilation
        )
        return found, None, None, None


def output_padding(
    inputs: Sequence[int],
    outputs: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int = 1,
) -> list[int]:
    """Output padding with which a transposed convolution has the size of the inputs."""
    sides = zip(inputs, outputs, kernel, stride, padding, dilation, strict=True)
    return [i - ((o - 1) * s - 2 * p + d * (k - 1) + 1) for i, o, k, s, p, d in sides]


def make_convolutions_batch_invariant(network: nn.Module) -> None:
    """Make the convolutions of a network batch-invariant, where they are on a CPU."""
    for module in network.modules():
        is_plain = type(module) is nn.Conv2d and module.padding_mode == "zeros"
        if is_plain and module.weight.device.type == "cpu":
            module.__class__ = BatchInvariantConv2d
