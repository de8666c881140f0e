"""The memory layout on a CPU: channels last, a quarter faster in convolutions there."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class ChannelsLastMaxPool2d(nn.MaxPool2d):
    """A pool whose gradient has the channels last, as its input has.

    A flattened output gets a gradient with the channels first. The pool would work in that layout
    and copy its indices and its result back and forth, which takes longer than pooling.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's name
        """Pool (N, C, H, W)."""
        pooled: Tensor = super().forward(input)
        if pooled.ndim != 4 or not pooled.is_contiguous(memory_format=torch.channels_last):
            return pooled
        return arrange_gradient(pooled, torch.channels_last)


def arrange_gradient(x: Tensor, memory_format: torch.memory_format) -> Tensor:
    """Return `x`, whose gradient gets a memory format."""
    same: Tensor = _ArrangedGradient.apply(x, memory_format)
    return same


class _ArrangedGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, memory_format: torch.memory_format) -> Tensor:
        ctx.memory_format = memory_format
        return x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient.contiguous(memory_format=ctx.memory_format), None


def put_channels_last(network: nn.Module) -> None:
    """Put the channels of weights and of gradients last, where they are on a CPU."""
    if any(parameter.device.type != "cpu" for parameter in network.parameters()):
        return
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.data.to(memory_format=torch.channels_last)
        elif type(module) is nn.MaxPool2d and not module.return_indices:
            module.__class__ = ChannelsLastMaxPool2d


def put_channels_first(network: nn.Module) -> None:
    """Make the weights of a network contiguous, as they were before `put_channels_last`."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.data.contiguous()
