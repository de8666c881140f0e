"""How a rule takes the place of a layer's gradient: forward the layer's own, backward the rule."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class RuleModule(nn.Module):
    """A layer with a rule. It keeps nothing between calls, so any number of threads can use it."""

    saves_output = False  # whether `relevance` is also given what `output` returned
    is_rectified = False  # whether a ReLU that hands relevance on unchanged belongs to it

    def output(self, x: Tensor) -> Tensor:
        """Compute what the layer computes."""
        raise NotImplementedError

    def relevance(self, arrived: Tensor, x: Tensor, *outputs: Tensor) -> Tensor:
        """Hand relevance on.

        Parameters
        ----------
        arrived : Tensor
            Relevance of the layer's output.
        x : Tensor
            The layer's input.
        outputs : Tensor
            The layer's output, where `saves_output` is true.

        Returns
        -------
        Tensor
            Relevance of the layer's input, in its shape.
        """
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Compute the layer's output, rectified or not, whose gradient is replaced by the rule."""
        output: Tensor = _Propagate.apply(x, self)
        return output


class _Propagate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, rule: RuleModule) -> Tensor:
        output = rule.output(x)
        ctx.rule = rule
        ctx.save_for_backward(*((x, output) if rule.saves_output else (x,)))
        if not rule.is_rectified:
            return output
        return output.relu() if rule.saves_output else output.relu_()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, arrived: Tensor) -> tuple[Tensor, None]:
        return ctx.rule.relevance(arrived, *ctx.saved_tensors), None


def stabilize(z: Tensor, epsilon: float) -> Tensor:
    """Move a denominator away from zero: `z + epsilon * sign(z)`, where the sign of 0 is +1."""
    # not `z + torch.where(z < 0, -epsilon, epsilon)`: that rounds epsilon to float32
    return torch.where(z < 0, z - epsilon, z + epsilon)
