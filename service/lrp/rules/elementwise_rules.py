"""The rules of everything that is not linear: pools, sums, activations, batch norm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from service.lrp.rules.base import RuleModule, stabilize


class Pass(RuleModule):
    """Hands relevance on unchanged."""

    def __init__(self, layer: nn.Module, values: Mapping[str, Any]) -> None:
        super().__init__()
        self._layer = layer

    def output(self, x: Tensor) -> Tensor:
        """Compute what the layer computes."""
        output: Tensor = self._layer(x)
        return output

    def relevance(self, arrived: Tensor, x: Tensor, *outputs: Tensor) -> Tensor:
        """Hand relevance on."""
        return arrived


class Deconvnet(Pass):
    """`R_x = R+`."""

    def relevance(self, arrived: Tensor, x: Tensor, *outputs: Tensor) -> Tensor:
        """Hand relevance on."""
        return arrived.clamp(min=0)


class GuidedBackprop(Pass):
    """`R_x = R+` where the unit was active."""

    def relevance(self, arrived: Tensor, x: Tensor, *outputs: Tensor) -> Tensor:
        """Hand relevance on."""
        return torch.where(x > 0, arrived.clamp(min=0), 0.0)


class BetaSmooth(Pass):
    """`R_x = sigmoid(beta x) R`."""

    def __init__(self, layer: nn.Module, values: Mapping[str, Any]) -> None:
        super().__init__(layer, values)
        self.beta = float(values["beta"])

    def relevance(self, arrived: Tensor, x: Tensor, *outputs: Tensor) -> Tensor:
        """Hand relevance on."""
        return torch.sigmoid(self.beta * x).mul_(arrived)


class NormPool(nn.Module):
    """`R_x = x pool^T(R / (z + stabilizer sign z))` with `z = pool(x)`.

    The pool's own gradient stands between one that divides and one that multiplies.
    """

    def __init__(self, layer: nn.Module, values: Mapping[str, Any]) -> None:
        super().__init__()
        self._layer, self.stabilizer = layer, float(values["stabilizer"])

    def forward(self, x: Tensor) -> Tensor:
        """Pool, with the rule for a gradient."""
        output: Tensor = _Divide.apply(self._layer(_Multiply.apply(x)), self.stabilizer)
        return output


class _Multiply(torch.autograd.Function):
    """The identity, whose gradient is multiplied by the value."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, arrived: Tensor) -> Tensor:
        x: Tensor = ctx.saved_tensors[0]
        return arrived * x


class _Divide(torch.autograd.Function):
    """The identity, whose gradient is divided by the value."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, stabilizer: float) -> Tensor:
        ctx.save_for_backward(z)
        ctx.stabilizer = stabilizer
        return z.view_as(z)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, arrived: Tensor) -> tuple[Tensor, None]:
        (z,) = ctx.saved_tensors
        return arrived / stabilize(z, ctx.stabilizer), None


class NormSum(nn.Module):
    """`R_i = x_i R / (z + stabilizer sign z)` with `z` the sum of the branches `x_i`."""

    def __init__(self, layer: nn.Module, values: Mapping[str, Any]) -> None:
        super().__init__()
        self.stabilizer = float(values["stabilizer"])

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Add, with the rule for a gradient."""
        branches = torch.broadcast_tensors(left, right)
        output: Tensor = _NormSum.apply(*branches, self.stabilizer)
        return output


class _NormSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor, stabilizer: float) -> Tensor:
        total = left + right
        ctx.save_for_backward(left, right, total)
        ctx.stabilizer = stabilizer
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, arrived: Tensor) -> tuple[Tensor, Tensor, None]:
        left, right, total = ctx.saved_tensors
        s = arrived / stabilize(total, ctx.stabilizer)
        return left * s, right * s, None


ELEMENTWISE_RULES: Mapping[str, type[Pass]] = {
    "pass": Pass,
    "relu_deconvnet": Deconvnet,
    "relu_guided_backprop": GuidedBackprop,
    "relu_beta_smooth": BetaSmooth,
}
