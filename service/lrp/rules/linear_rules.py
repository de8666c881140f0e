"""The rules of convolutions and linear layers.

`x` is the layer's input, `w` its weight, `b` its bias, `z` a denominator, `s = R / z` with the
relevance `R` of the output. `+` and `-` mark positive and negative parts. Each rule is written
down as in zennit, which it equals; what it saves is said beside it. What an input that cannot be
negative saves is all that has to do with `x-`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from service.lrp.rules.base import LayerContext, LinearRule, stabilize
from service.lrp.rules.modified_weights import negative, positive

# a difference that is so many times smaller than what it was taken of has lost 6 of its 24 bits
_LOST = 64


class Epsilon(LinearRule):
    """`R_x = x w^T(R / (z + epsilon sign z))` with `z = w x + b`, which the forward pass has."""

    saves_output = True

    def __init__(self, layer: nn.Module, context: LayerContext, values: Mapping[str, Any]) -> None:
        super().__init__(layer, context, values)
        self.epsilon = float(values.get("epsilon", self.stabilizer))  # `norm` has a stabilizer

    def relevance(self, arrived: Tensor, x: Tensor, *outputs: Tensor) -> Tensor:
        """Hand relevance on."""
        z = self.linear_map.forward(x, self.weight, None) if self.has_zero_bias else outputs[0]
        s = arrived / stabilize(z, self.epsilon)
        return self.linear_map.transpose(s, self.weight, x).mul_(x)


class ZPlus(LinearRule):
    """`R_x = x+ w+^T s + x- w-^T s` with `z = w+ x+ + w- x- + b+`.

    `z` cannot be negative, so that the stabilizer can be added with the bias.
    """

    def __init__(self, layer: nn.Module, context: LayerContext, values: Mapping[str, Any]) -> None:
        super().__init__(layer, context, values)
        self.positive = self.modified("positive", positive)
        if not context.is_non_negative:
            self.negative = self.modified("negative", negative)
        self.stabilized_bias = self._stabilized_bias()

    def relevance(self, arrived: Tensor, x: Tensor, *outputs: Tensor) -> Tensor:
        """Hand relevance on."""
        if self.context.is_non_negative:
            z = self.linear_map.forward(x, self.positive, self.stabilized_bias)
            s = torch.div(arrived, z, out=z)
            return self.linear_map.transpose(s, self.positive, x).mul_(x)
        above, below = self.parts(x)
        z = self.linear_map.forward(above, self.positive, self.stabilized_bias)
        z += self.linear_map.forward(below, self.negative, None)
        s = torch.div(arrived, z, out=z)
        found = self.linear_map.transpose(s, self.positive, x).mul_(above)
        return found.addcmul_(self.linear_map.transpose(s, self.negative, x), below)

    def _stabilized_bias(self) -> Tensor:
        name, stabilizer = f"positive + {self.stabilizer}", self.stabilizer
        found = self.modified_bias(name, lambda bias: positive(bias) + stabilizer)
        if found is not None:
            return found
        return self.modified(
            f"only {stabilizer}", lambda weight: weight.new_full((len(weight),), stabilizer)
        )


class AlphaBeta(LinearRule):
    """`alpha` times the share of positive contributions, less `beta` times that of negative ones.

    `R_x = x+ (alpha w+^T s+ - beta w-^T s-) + x- (alpha w-^T s+ - beta w+^T s-)` with
    `z+ = w+ x+ + w- x- + b+` and `z- = w- x+ + w+ x- + b-`. `z+ + z-` is the output, which the
    forward pass has, so that `z-` alone is computed: `z+` is the output less `z-`, and where the
    output is positive no digit is lost by that. Where it is negative and `z+` is small, what is
    left of it may be rounding alone: there `z+` is computed too.
    """

    saves_output = True

    def __init__(self, layer: nn.Module, context: LayerContext, values: Mapping[str, Any]) -> None:
        super().__init__(layer, context, values)
        self.alpha, self.beta = float(values["alpha"]), float(values["beta"])
        self.positive = self.modified("positive", positive)
        self.negative = self.modified("negative", negative)
        self.positive_bias = self.modified_bias("positive", positive)
        self.negative_bias = self.modified_bias("negative", negative)
        # without its bias, an output that is positive need not be so any more
        self.is_above_zero = context.vanishes_below_zero and not self.has_zero_bias

    def relevance(self, arrived: Tensor, x: Tensor, *outputs: Tensor) -> Tensor:
        """Hand relevance on; the signs of `z+` and `z-` are known."""
        above, below = (x, None) if self.context.is_non_negative else self.parts(x)
        plus, minus = self._shares(arrived, above, below, outputs[0])
        plus.clamp_(min=0).add_(self.stabilizer)  # rounding may have left it below zero
        s_plus = torch.div(arrived, plus, out=plus).mul_(self.alpha)
        s_minus = torch.div(arrived, minus.sub_(self.stabilizer), out=minus).mul_(-self.beta)
        found = self.linear_map.transpose(s_plus, self.positive, x)
        found.add_(self.linear_map.transpose(s_minus, self.negative, x)).mul_(above)
        if below is not None:
            to_below = self.linear_map.transpose(s_plus, self.negative, x)
            to_below.add_(self.linear_map.transpose(s_minus, self.positive, x))
            found.addcmul_(to_below, below)
        return found

    def _shares(
        self, arrived: Tensor, above: Tensor, below: Tensor | None, output: Tensor
    ) -> tuple[Tensor, Tensor]:
        """`z+` and `z-`."""
        minus = self._push(above, below, self.negative, self.positive, self.negative_bias)
        plus = output - minus
        if self.has_zero_bias and self.bias is not None:
            plus -= self.linear_map.reshape_bias(self.bias)
        if self.is_above_zero:
            return plus, minus
        is_lost = (plus * _LOST < -minus).logical_and_(arrived != 0)
        # to ask whether there are any is free on a CPU; elsewhere it would wait for the device
        if is_lost.device.type != "cpu" or is_lost.any():
            exact = self._push(above, below, self.positive, self.negative, self.positive_bias)
            plus = torch.where(is_lost, exact, plus)
        return plus, minus

    def _push(
        self,
        above: Tensor,
        below: Tensor | None,
        to_above: Tensor,
        to_below: Tensor,
        bias: Tensor | None,
    ) -> Tensor:
        z = self.linear_map.forward(above, to_above, bias)
        return z if below is None else z.add_(self.linear_map.forward(below, to_below, None))


class Gamma(LinearRule):
    """As epsilon, with positive weights favoured.

    Where the output is positive, `w' = w + gamma w+` goes with `x+` and `w" = w + gamma w-` with
    `x-`; where it is negative, the other way round; where it is zero, nothing is handed on.
    Outputs that are not positive get no relevance where only a ReLU follows: that half vanishes.
    """

    saves_output = True

    def __init__(self, layer: nn.Module, context: LayerContext, values: Mapping[str, Any]) -> None:
        super().__init__(layer, context, values)
        gamma = float(values["gamma"])
        self._halves = [1] if context.vanishes_below_zero else [1, -1]
        has_both = len(self._halves) == 2 or not context.is_non_negative
        favours: dict[int, Callable[[Tensor], Tensor]] = {
            1: lambda w: w + gamma * positive(w),
            -1: lambda w: w + gamma * negative(w),
        }
        names = {1: f"gamma {gamma} +", -1: f"gamma {gamma} -"}
        self.favoured = self.modified(names[1], favours[1])
        self.disfavoured = self.favoured  # and never used, where there is no other half
        if has_both:
            self.disfavoured = self.modified(names[-1], favours[-1])
        self._favours = {1: self.favoured, -1: self.disfavoured}
        self._biases = {
            sign: self.modified_bias(names[sign], favours[sign]) for sign in self._halves
        }

    def relevance(self, arrived: Tensor, x: Tensor, *outputs: Tensor) -> Tensor:
        """Hand relevance on."""
        above, below = (x, None) if self.context.is_non_negative else self.parts(x)
        halves = [self._half(sign, arrived, above, below, outputs[0]) for sign in self._halves]
        return halves[0] if len(halves) == 1 else halves[0].add_(halves[1])

    def _half(
        self, sign: int, arrived: Tensor, above: Tensor, below: Tensor | None, output: Tensor
    ) -> Tensor:
        to_above, to_below = self._favours[sign], self._favours[-sign]
        z = self.linear_map.forward(above, to_above, self._biases[sign])
        if below is not None:
            z += self.linear_map.forward(below, to_below, None)
        is_half = output > 0 if sign > 0 else output < 0
        s = torch.where(is_half, arrived / stabilize(z, self.stabilizer), 0.0)
        found = self.linear_map.transpose(s, to_above, above).mul_(above)
        if below is not None:
            found.addcmul_(self.linear_map.transpose(s, to_below, below), below)
        return found


class ZBox(LinearRule):
    """`R_x = x w^T s - low w+^T s - high w-^T s` with `z = w x - w+ low - w- high`.

    The biases cancel: `b - b+ - b- = 0`. So the forward pass has the first term of `z`, and the
    others are the same for all images.
    """

    saves_output = True

    def __init__(self, layer: nn.Module, context: LayerContext, values: Mapping[str, Any]) -> None:
        super().__init__(layer, context, values)
        self.positive = self.modified("positive", positive)
        self.negative = self.modified("negative", negative)
        self.low, self.high = context.box

    def relevance(self, arrived: Tensor, x: Tensor, *outputs: Tensor) -> Tensor:
        """Hand relevance on."""
        low, high = (side.expand(1, *x.shape[1:]) for side in (self.low, self.high))
        offset = self.linear_map.forward(low, self.positive, self.bias)
        offset += self.linear_map.forward(high, self.negative, None)
        s = arrived / stabilize(outputs[0] - offset, self.stabilizer)
        found = self.linear_map.transpose(s, self.weight, x).mul_(x)
        found -= self.linear_map.transpose(s, self.positive, x) * self.low
        found -= self.linear_map.transpose(s, self.negative, x) * self.high
        return found


class WSquare(LinearRule):
    """`R_x = (w^2)^T s` with `z = w^2 1 + b^2`, the same for all images."""

    def __init__(self, layer: nn.Module, context: LayerContext, values: Mapping[str, Any]) -> None:
        super().__init__(layer, context, values)
        self.squared = self.modified("squared", torch.square)
        self.squared_bias = self.modified_bias("squared", torch.square)

    def relevance(self, arrived: Tensor, x: Tensor, *outputs: Tensor) -> Tensor:
        """Hand relevance on."""
        ones = torch.ones_like(x[:1])
        z = self.linear_map.forward(ones, self.squared, self.squared_bias) + self.stabilizer
        return self.linear_map.transpose(arrived / z, self.squared, x)


class Flat(LinearRule):
    """`R_x = 1^T (R / n)`, where `n` counts the inputs that an output is connected to."""

    def relevance(self, arrived: Tensor, x: Tensor, *outputs: Tensor) -> Tensor:
        """Hand relevance on."""
        return self.linear_map.spread_uniformly(arrived, self.weight, x, self.stabilizer)


LINEAR_RULES: Mapping[str, type[LinearRule]] = {
    "epsilon": Epsilon,
    "norm": Epsilon,
    "gamma": Gamma,
    "zplus": ZPlus,
    "alpha_beta": AlphaBeta,
    "zbox": ZBox,
    "wsquare": WSquare,
    "flat": Flat,
}
