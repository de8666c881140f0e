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
    """`R_x = x w^T(R / (z + epsilon sign z))` with `z = w x + b`, which the forward pass has.

    Bach et al. 2015, PLOS ONE 10(7):e0130140, equation 58. `norm`, equation 56, is the same with
    its stabilizer.
    """

    saves_output = True

    def relevance(self, relevance_out: Tensor, x: Tensor, *saved: Tensor) -> Tensor:
        """Relevance of the input, in the shape of `x`."""
        epsilon, z = saved
        if self.has_zero_bias:
            z = self.linear_map.forward(x, self.weight, None)
        s = relevance_out / stabilize(z, epsilon)
        return self.linear_map.transpose(s, self.weight, x).mul_(x)


class ZPlus(LinearRule):
    """`R_x = x+ w+^T s + x- w-^T s` with `z = w+ x+ + w- x- + b+`, which cannot be negative.

    Montavon et al. 2017, Pattern Recognition 65:211, arXiv:1512.02479; for inputs of any sign, Bach
    et al. 2015, PLOS ONE 10(7):e0130140, equation 60 with `alpha = 1`.
    """

    def __init__(self, layer: nn.Module, context: LayerContext, values: Mapping[str, Any]) -> None:
        super().__init__(layer, context, values)
        self.positive = self.modified("positive", positive)
        if not context.is_non_negative:
            self.negative = self.modified("negative", negative)
        self.positive_bias = self.modified_bias("positive", positive)

    def relevance(self, relevance_out: Tensor, x: Tensor, *saved: Tensor) -> Tensor:
        """Relevance of the input, in the shape of `x`."""
        (stabilizer,) = saved
        x_pos, x_neg = (x, None) if self.context.is_non_negative else self.parts(x)
        z = self.linear_map.forward(x_pos, self.positive, self.positive_bias)
        if x_neg is not None:
            z += self.linear_map.forward(x_neg, self.negative, None)
        z += stabilizer
        s = torch.div(relevance_out, z, out=z)
        found = self.linear_map.transpose(s, self.positive, x).mul_(x_pos)
        if x_neg is not None:
            found.addcmul_(self.linear_map.transpose(s, self.negative, x), x_neg)
        return found


class AlphaBeta(LinearRule):
    """`alpha` times the share of positive contributions, less `beta` times that of negative ones.

    Bach et al. 2015, PLOS ONE 10(7):e0130140, equation 60.
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

    def relevance(self, relevance_out: Tensor, x: Tensor, *saved: Tensor) -> Tensor:
        """Relevance of the input, in the shape of `x`; the signs of `z+` and `z-` are known."""
        stabilizer, output = saved
        x_pos, x_neg = (x, None) if self.context.is_non_negative else self.parts(x)
        z_pos, z_neg = self._denominators(relevance_out, x_pos, x_neg, output)
        z_pos.clamp_(min=0).add_(stabilizer)  # rounding may have left it below zero
        s_pos = torch.div(relevance_out, z_pos, out=z_pos).mul_(self.alpha)
        s_neg = torch.div(relevance_out, z_neg.sub_(stabilizer), out=z_neg).mul_(-self.beta)
        found = self.linear_map.transpose(s_pos, self.positive, x)
        found.add_(self.linear_map.transpose(s_neg, self.negative, x)).mul_(x_pos)
        if x_neg is not None:
            of_negative = self.linear_map.transpose(s_pos, self.negative, x)
            of_negative.add_(self.linear_map.transpose(s_neg, self.positive, x))
            found.addcmul_(of_negative, x_neg)
        return found

    def _denominators(
        self, relevance_out: Tensor, x_pos: Tensor, x_neg: Tensor | None, output: Tensor
    ) -> tuple[Tensor, Tensor]:
        """`z+` and `z-`."""
        z_neg = self._contributions(x_pos, x_neg, self.negative, self.positive, self.negative_bias)
        z_pos = output - z_neg
        if self.has_zero_bias and self.bias is not None:
            z_pos -= self.linear_map.reshape_bias(self.bias)
        if self.is_above_zero:
            return z_pos, z_neg
        is_lost = (z_pos * _LOST < -z_neg).logical_and_(relevance_out != 0)
        # to ask whether there are any is free on a CPU; elsewhere it would wait for the device
        if is_lost.device.type != "cpu" or is_lost.any():
            weights = (self.positive, self.negative, self.positive_bias)
            exact = self._contributions(x_pos, x_neg, *weights)
            z_pos = torch.where(is_lost, exact, z_pos)
        return z_pos, z_neg

    def _contributions(
        self,
        x_pos: Tensor,
        x_neg: Tensor | None,
        w_pos: Tensor,
        w_neg: Tensor,
        bias: Tensor | None,
    ) -> Tensor:
        """`w_pos x+ + w_neg x- + bias`."""
        z = self.linear_map.forward(x_pos, w_pos, bias)
        return z if x_neg is None else z.add_(self.linear_map.forward(x_neg, w_neg, None))


class Gamma(LinearRule):
    """As epsilon, with positive weights favoured.

    Montavon et al. 2019, LNCS 11700:193; for inputs of any sign, Andéol et al. 2021,
    arXiv:2106.12465.
    Where the output is positive, `w' = w + gamma w+` goes with `x+` and `w" = w + gamma w-` with
    `x-`; where it is negative, the other way round; where it is zero, the input gets none.
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

    def relevance(self, relevance_out: Tensor, x: Tensor, *saved: Tensor) -> Tensor:
        """Relevance of the input, in the shape of `x`."""
        x_pos, x_neg = (x, None) if self.context.is_non_negative else self.parts(x)
        halves = [self._half(sign, relevance_out, x_pos, x_neg, *saved) for sign in self._halves]
        return halves[0] if len(halves) == 1 else halves[0].add_(halves[1])

    def _half(
        self,
        sign: int,
        relevance_out: Tensor,
        x_pos: Tensor,
        x_neg: Tensor | None,
        stabilizer: Tensor,
        output: Tensor,
    ) -> Tensor:
        """Relevance that outputs of one sign give to the input."""
        w_pos, w_neg = self._favours[sign], self._favours[-sign]
        z = self.linear_map.forward(x_pos, w_pos, self._biases[sign])
        if x_neg is not None:
            z += self.linear_map.forward(x_neg, w_neg, None)
        is_half = output > 0 if sign > 0 else output < 0
        s = torch.where(is_half, relevance_out / stabilize(z, stabilizer), 0.0)
        found = self.linear_map.transpose(s, w_pos, x_pos).mul_(x_pos)
        if x_neg is not None:
            found.addcmul_(self.linear_map.transpose(s, w_neg, x_neg), x_neg)
        return found


class ZBox(LinearRule):
    """`R_x = x w^T s - low w+^T s - high w-^T s` with `z = w x - w+ low - w- high`.

    Montavon et al. 2017, Pattern Recognition 65:211, arXiv:1512.02479, equation 15.
    The biases cancel: `b - b+ - b- = 0`. So the forward pass has the first term of `z`, and the
    others are the same for all images.
    """

    saves_output = True

    def __init__(self, layer: nn.Module, context: LayerContext, values: Mapping[str, Any]) -> None:
        super().__init__(layer, context, values)
        self.positive = self.modified("positive", positive)
        self.negative = self.modified("negative", negative)
        self.low, self.high = context.box

    def relevance(self, relevance_out: Tensor, x: Tensor, *saved: Tensor) -> Tensor:
        """Relevance of the input, in the shape of `x`."""
        stabilizer, output = saved
        low, high = (side.expand(1, *x.shape[1:]) for side in (self.low, self.high))
        offset = self.linear_map.forward(low, self.positive, self.bias)
        offset += self.linear_map.forward(high, self.negative, None)
        s = relevance_out / stabilize(output - offset, stabilizer)
        found = self.linear_map.transpose(s, self.weight, x).mul_(x)
        found -= self.linear_map.transpose(s, self.positive, x) * self.low
        found -= self.linear_map.transpose(s, self.negative, x) * self.high
        return found


class WSquare(LinearRule):
    """`R_x = (w^2)^T s` with `z = w^2 1 + b^2`, the same for all images.

    Montavon et al. 2017, Pattern Recognition 65:211, arXiv:1512.02479, equation 12.
    """

    def __init__(self, layer: nn.Module, context: LayerContext, values: Mapping[str, Any]) -> None:
        super().__init__(layer, context, values)
        self.squared = self.modified("squared", torch.square)
        self.squared_bias = self.modified_bias("squared", torch.square)

    def relevance(self, relevance_out: Tensor, x: Tensor, *saved: Tensor) -> Tensor:
        """Relevance of the input, in the shape of `x`."""
        (stabilizer,) = saved
        ones = torch.ones_like(x[:1])
        z = self.linear_map.forward(ones, self.squared, self.squared_bias) + stabilizer
        return self.linear_map.transpose(relevance_out / z, self.squared, x)


class Flat(LinearRule):
    """`R_x = 1^T (R / n)`, where `n` counts the inputs that an output is connected to.

    Lapuschkin et al. 2019, Nature Communications 10:1096, equation 8.
    """

    def relevance(self, relevance_out: Tensor, x: Tensor, *saved: Tensor) -> Tensor:
        """Relevance of the input, in the shape of `x`."""
        return self.linear_map.spread_uniformly(relevance_out, self.weight, x, *saved)


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
