"""Rules of layers without weights: pools, sums, activations, batch norm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from service.lrp.rules.base import RuleModule, stabilize, stabilizer_of


class Pass(RuleModule):
    """`R_x = R`: as an activation is treated by Bach et al. 2015, PLOS ONE 10(7):e0130140."""

    def __init__(self, layer: nn.Module, values: Mapping[str, Any]) -> None:
        super().__init__()
        self._layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """Output of the layer, with the rule for a gradient."""
        return self.propagate(x)

    def output(self, x: Tensor) -> Tensor:
        """Output of the layer itself."""
        output: Tensor = self._layer(x)
        return output

    def relevance(self, relevance_out: Tensor, x: Tensor, *saved: Tensor) -> Tensor:
        """Relevance of the input, in the shape of `x`."""
        return relevance_out


class Deconvnet(Pass):
    """`R_x = R+` (Zeiler and Fergus 2014, arXiv:1311.2901)."""

    def relevance(self, relevance_out: Tensor, x: Tensor, *saved: Tensor) -> Tensor:
        """Relevance of the input, in the shape of `x`."""
        return relevance_out.clamp(min=0)


class GuidedBackprop(Pass):
    """`R_x = R+` where `x > 0` (Springenberg et al. 2015, arXiv:1412.6806)."""

    def relevance(self, relevance_out: Tensor, x: Tensor, *saved: Tensor) -> Tensor:
        """Relevance of the input, in the shape of `x`."""
        return torch.where(x > 0, relevance_out.clamp(min=0), 0.0)


class BetaSmooth(Pass):
    """`R_x = sigmoid(beta x) R` (Dombrowski et al. 2019, arXiv:1906.07983)."""

    def __init__(self, layer: nn.Module, values: Mapping[str, Any]) -> None:
        super().__init__(layer, values)
        self.beta = float(values["beta"])

    def relevance(self, relevance_out: Tensor, x: Tensor, *saved: Tensor) -> Tensor:
        """Relevance of the input, in the shape of `x`."""
        return torch.sigmoid(self.beta * x).mul_(relevance_out)


class NormPool(nn.Module):
    """`R_x = x pool^T(R / (z + stabilizer sign z))` with `z = pool(x)`.

    Bach et al. 2015, PLOS ONE 10(7):e0130140, equation 56. The pool's own gradient stands between
    a division and a multiplication.
    """

    def __init__(self, layer: nn.Module, column: int) -> None:
        super().__init__()
        self._layer, self.column = layer, column

    def forward(self, x: Tensor, stabilizers: Tensor) -> Tensor:
        """Pool, with the rule for a gradient."""
        z: Tensor = self._layer(_Multiply.apply(x))
        output: Tensor = _Divide.apply(z, stabilizer_of(stabilizers, self.column, z.ndim))
        return output


class _Multiply(torch.autograd.Function):
    """The identity, whose gradient is multiplied by the value."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, relevance_out: Tensor) -> Tensor:
        x: Tensor = ctx.saved_tensors[0]
        return relevance_out * x


class _Divide(torch.autograd.Function):
    """The identity, whose gradient is divided by the value."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, stabilizer: Tensor) -> Tensor:
        ctx.save_for_backward(z, stabilizer)
        return z.view_as(z)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, relevance_out: Tensor) -> tuple[Tensor, None]:
        return relevance_out / stabilize(*ctx.saved_tensors), None


class NormSum(nn.Module):
    """`R_i = x_i R / (z + stabilizer sign z)` with `z` the sum of the branches `x_i`.

    Bach et al. 2015, PLOS ONE 10(7):e0130140, equation 56.
    """

    def __init__(self, column: int) -> None:
        super().__init__()
        self.column = column

    def forward(self, left: Tensor, right: Tensor, stabilizers: Tensor) -> Tensor:
        """Add, with the rule for a gradient."""
        left, right = torch.broadcast_tensors(left, right)
        stabilizer = stabilizer_of(stabilizers, self.column, left.ndim)
        output: Tensor = _NormSum.apply(left, right, stabilizer)
        return output


class _NormSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor, stabilizer: Tensor) -> Tensor:
        total = left + right
        ctx.save_for_backward(left, right, total, stabilizer)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, relevance_out: Tensor) -> tuple[Tensor, Tensor, None]:
        left, right, total, stabilizer = ctx.saved_tensors
        s = relevance_out / stabilize(total, stabilizer)
        return left * s, right * s, None


ELEMENTWISE_RULES: Mapping[str, type[Pass]] = {
    "pass": Pass,
    "relu_deconvnet": Deconvnet,
    "relu_guided_backprop": GuidedBackprop,
    "relu_beta_smooth": BetaSmooth,
}
