"""A convolution or linear layer with a rule, and what is known about its place in the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from service.lrp.rules.linear_map import AffineMap
from service.lrp.rules.modified_weights import ModifiedWeights
from service.lrp.rules.propagate import RuleModule


@dataclass(frozen=True)
class Place:
    """What is known about the place of a layer in its network.

    Attributes
    ----------
    affine : AffineMap
        The layer's map.
    weights : ModifiedWeights
        Where modified weights come from.
    is_non_negative : bool
        Whether its input cannot be negative.
    vanishes_below_zero : bool
        Whether outputs that are not above zero get no relevance.
    is_rectified : bool
        Whether the layer is to do the work of the ReLU after it, which hands relevance on
        unchanged.
    box : tuple of 2 Tensor
        The lowest and the highest value of the network's input, shape (1, C, 1, 1).
    """

    affine: AffineMap
    weights: ModifiedWeights
    is_non_negative: bool
    vanishes_below_zero: bool
    is_rectified: bool
    box: tuple[Tensor, Tensor]


class AffineRule(RuleModule):
    """A rule of an affine layer.

    Parameters
    ----------
    layer : nn.Module
        With `weight` and `bias`, which are shared.
    place : Place
        Of the layer.
    values : mapping
        The rule's parameters by name.
    """

    def __init__(self, layer: nn.Module, place: Place, values: Mapping[str, Any]) -> None:
        super().__init__()
        self._layer, self.place, self.affine = layer, place, place.affine
        self.is_rectified = place.is_rectified
        self.stabilizer = float(values.get("stabilizer", 0.0))
        self.has_zero_bias = bool(values.get("zero_bias", False))

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
        return self.affine.push(x, self.weight, self.bias)

    def modified(self, name: str, modify: Callable[[Tensor], Tensor]) -> Tensor:
        """Modify the weight, or share what was made of it before."""
        return self.place.weights.make(self.weight, name, modify)

    def modified_bias(self, name: str, modify: Callable[[Tensor], Tensor]) -> Tensor | None:
        """Modify the bias that takes part in the rule, likewise."""
        bias = self.rule_bias
        return None if bias is None else self.place.weights.make(bias, name, modify)

    def parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Split an input into its positive and its negative part."""
        return x.clamp(min=0), x.clamp(max=0)
