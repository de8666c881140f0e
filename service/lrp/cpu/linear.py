"""Batch-invariant linear layers: the result for a row does not depend on its batch.

On a CPU torch takes another algorithm for one row than for several, and for few than for many, and
each rounds differently. A rule that divides by an output that is nearly zero would make much of
that: an image's relevance would depend on its neighbours in the batch. Here the rows of a batch go
in groups that are computed as one row is alone; how large those may be is found by trying, and at
worst it is one row. The weights are read once for a group, which is most of the time.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

_GROUPS = (8, 4)  # rows; a single row is computed twice, as torch has another kernel for it
_group_sizes: dict[tuple[int, ...], int] = {}


def batch_invariant_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """As `torch.nn.functional.linear`, of shape (N, ..., in), without a gradient."""
    if len(x) == 0 or x.ndim < 2 or not _is_float32_on_cpu(x):
        return functional.linear(x, weight, bias)
    n_rows = _group_size(weight) if x.ndim == 2 else 1
    if n_rows == 1:
        return _join([functional.linear(item, weight, bias) for item in x.split(1)])
    return _join([_linear_group(group, weight, bias) for group in x.split(n_rows)])


def _linear_group(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if len(x) > 1:
        return functional.linear(x, weight, bias)
    return functional.linear(torch.cat((x, x)), weight, bias)[:1]


def _join(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _group_size(weight: Tensor) -> int:
    key = (*weight.shape, torch.get_num_threads())  # what algorithms depend on
    if key not in _group_sizes:
        _group_sizes[key] = _find_group_size(weight)
    return _group_sizes[key]


def _find_group_size(weight: Tensor) -> int:
    """The largest group whose rows are each computed as they are alone; depends on the CPU."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(max(_GROUPS), weight.shape[1], generator=generator)
    biases = (None, x[0, :1].expand(len(weight)))
    return next(
        (n for n in _GROUPS if all(_is_batch_invariant(x[:n], weight, b) for b in biases)), 1
    )


def _is_batch_invariant(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    alone = torch.cat([_linear_group(row, weight, bias) for row in x.split(1)])
    groups = [_linear_group(x[:n], weight, bias) for n in range(2, len(x) + 1)]
    return all(torch.equal(group, alone[: len(group)]) for group in groups)


def _is_float32_on_cpu(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype == torch.float32


class BatchInvariantLinear(nn.Linear):
    """A batch-invariant linear layer; its weight gets no gradient."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's name
        """Map (N, ..., in) to (N, ..., out)."""
        if not _is_float32_on_cpu(input):
            return super().forward(input)
        output: Tensor = _LinearFunction.apply(input, self.weight, self.bias)
        return output


class _LinearFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(weight)
        return batch_invariant_linear(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (weight,) = ctx.saved_tensors
        return gradient @ weight, None, None


def make_linears_batch_invariant(network: nn.Module) -> None:
    """Make the linear layers of a network batch-invariant, where they are on a CPU."""
    for module in network.modules():
        if type(module) is nn.Linear and module.weight.device.type == "cpu":
            module.__class__ = BatchInvariantLinear
