"""How a rule takes the place of a layer's gradient: forward the layer's own, backward the rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from service.lrp.rules.linear_map import LinearMap
from service.lrp.rules.modified_weights import ModifiedWeights


class RuleModule(nn.Module):
    """A layer with a rule. It keeps no state between calls, so any number of threads can use it."""

    saves_output = False  # whether `relevance` is also given what `output` returned
    is_rectified = False  # whether it applies the ReLU after it, whose rule is `pass`

    def output(self, x: Tensor) -> Tensor:
        """Output of the layer itself."""
        raise NotImplementedError

    def relevance(self, relevance_out: Tensor, x: Tensor, *saved: Tensor) -> Tensor:
        """Relevance of the input, in the shape of `x`.

        Parameters
        ----------
        relevance_out : Tensor
            Relevance of the layer's output.
        x : Tensor
            The layer's input.
        saved : Tensor
            The stabilizer of a rule that has one, then the layer's output where `saves_output` is
            true.
        """
        raise NotImplementedError

    def propagate(self, x: Tensor, *stabilizer: Tensor) -> Tensor:
        """Compute the layer's output, rectified or not, whose gradient is replaced by the rule."""
        output: Tensor = _Propagate.apply(self, x, *stabilizer)
        return output


class _Propagate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rule: RuleModule, x: Tensor, *stabilizer: Tensor) -> Tensor:
        output = rule.output(x)
        ctx.rule, ctx.n_others = rule, len(stabilizer)
        outputs = (output,) if rule.saves_output else ()
        ctx.save_for_backward(x, *stabilizer, *outputs)
        if not rule.is_rectified:
            return output
        return output.relu() if rule.saves_output else output.relu_()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, relevance_out: Tensor) -> tuple[Tensor | None, ...]:
        relevance = ctx.rule.relevance(relevance_out, *ctx.saved_tensors)
        return None, relevance, *[None] * ctx.n_others


def stabilize(z: Tensor, stabilizer: Tensor) -> Tensor:
    """Move a denominator away from zero: `z + stabilizer * sign(z)`, where the sign of 0 is +1."""
    return torch.where(z < 0, z - stabilizer, z + stabilizer)


def stabilizer_of(stabilizers: Tensor, column: int, n_dims: int) -> Tensor:
    """The stabilizer of one rule entry, to be added to a layer's outputs.

    Parameters
    ----------
    stabilizers : Tensor
        Of all rule entries, shape (N, entries), or (1, entries) if all images share them.
    column : int
        Number of the entry.
    n_dims : int
        Dimensions of the layer's outputs.

    Returns
    -------
    Tensor
        Shape (N or 1, 1, ...).
    """
    return stabilizers[:, column].view(-1, *[1] * (n_dims - 1))


@dataclass(frozen=True)
class LayerContext:
    """What is known about a layer from its network.

    Attributes
    ----------
    linear_map : LinearMap
        The layer's map.
    weights : ModifiedWeights
        Where modified weights come from.
    is_non_negative : bool
        Whether its input cannot be negative.
    vanishes_below_zero : bool
        Whether outputs that are not above zero get no relevance.
    is_rectified : bool
        Whether the layer applies the ReLU after it, which passes relevance unchanged.
    column : int
        Of the rule entry, in the table of stabilizers.
    box : tuple of 2 Tensor
        The lowest and the highest value of the network's input, shape (1, C, 1, 1).
    """

    linear_map: LinearMap
    weights: ModifiedWeights
    is_non_negative: bool
    vanishes_below_zero: bool
    is_rectified: bool
    column: int
    box: tuple[Tensor, Tensor]


class LinearRule(RuleModule):
    """A rule of a linear layer.

    Parameters
    ----------
    layer : nn.Module
        With `weight` and `bias`, which are shared.
    context : LayerContext
        Of the layer.
    values : mapping
        The rule's parameters by name.
    """

    def __init__(self, layer: nn.Module, context: LayerContext, values: Mapping[str, Any]) -> None:
        super().__init__()
        self._layer, self.context, self.linear_map = layer, context, context.linear_map
        self.is_rectified = context.is_rectified
        self.has_zero_bias = bool(values.get("zero_bias", False))

    def forward(self, x: Tensor, stabilizers: Tensor) -> Tensor:
        """Compute the layer's output; the stabilizers have the shape (N or 1, rule entries)."""
        return self.propagate(x, stabilizer_of(stabilizers, self.context.column, x.ndim))

    @property
    def weight(self) -> Tensor:
        """The layer's own."""
        weight: Tensor = self._layer.weight  # type: ignore[assignment]
        return weight

    @property
    def bias(self) -> Tensor | None:
        """The layer's own."""
        bias: Tensor | None = self._layer.bias  # type: ignore[assignment]
        return bias

    @property
    def rule_bias(self) -> Tensor | None:
        """The bias that takes part in the rule."""
        return None if self.has_zero_bias else self.bias

    def output(self, x: Tensor) -> Tensor:
        """Compute `w x + b`."""
        return self.linear_map.forward(x, self.weight, self.bias)

    def modified(self, name: str, modify: Callable[[Tensor], Tensor]) -> Tensor:
        """The modified weight, shared with other twins."""
        return self.context.weights.make(self.weight, name, modify)

    def modified_bias(self, name: str, modify: Callable[[Tensor], Tensor]) -> Tensor | None:
        """The modified bias that takes part in the rule, shared likewise."""
        bias = self.rule_bias
        return None if bias is None else self.context.weights.make(bias, name, modify)

    def parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Split an input into its positive and its negative part."""
        return x.clamp(min=0), x.clamp(max=0)
