"""Linear layers that do not depend on the size of the batch.

On a CPU torch takes another algorithm for one row than for several, and rounds differently. A rule
that divides by an output that is nearly zero would make much of that: an image's relevance would
depend on its neighbours in the batch. Here each item of a batch is computed as it is alone.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional


def connect(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """As `torch.nn.functional.linear`, of shape (N, ..., in), without a gradient."""
    if len(x) < 2 or x.ndim < 2 or not _is_for_each(x):
        return functional.linear(x, weight, bias)
    return torch.cat([functional.linear(item, weight, bias) for item in x.split(1)])


def _is_for_each(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype == torch.float32


class SteadyLinear(nn.Linear):
    """A linear layer as above; its weight gets no gradient."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's name
        """Map (N, ..., in) to (N, ..., out)."""
        if not _is_for_each(input):
            return super().forward(input)
        output: Tensor = _Connect.apply(input, self.weight, self.bias)
        return output


class _Connect(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(weight)
        return connect(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (weight,) = ctx.saved_tensors
        return gradient @ weight, None, None


def steady_linear(network: nn.Module) -> None:
    """Make the linear layers of a network steady, where they are on a CPU."""
    for module in network.modules():
        if type(module) is nn.Linear and module.weight.device.type == "cpu":
            module.__class__ = SteadyLinear
