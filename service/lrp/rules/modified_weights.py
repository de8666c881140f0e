"""Modified weights: made once for a network, and shared by all twins that need them."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from weakref import WeakValueDictionary

from torch import Tensor


def positive(weight: Tensor) -> Tensor:
    """Keep the positive ones."""
    return weight.clamp(min=0)


def negative(weight: Tensor) -> Tensor:
    """Keep the negative ones."""
    return weight.clamp(max=0)


class ModifiedWeights:
    """Makes modified weights, and hands out the same tensor as long as anybody holds it.

    It holds none itself, so what no twin needs any more is freed.
    """

    def __init__(self) -> None:
        self._made: WeakValueDictionary[Hashable, Tensor] = WeakValueDictionary()

    def make(self, weight: Tensor, name: Hashable, modify: Callable[[Tensor], Tensor]) -> Tensor:
        """Modify a weight, or find what the same modification made of it before.

        Parameters
        ----------
        weight : Tensor
            A parameter of the network, which lives as long as the network does.
        name : hashable
            Names the modification, with its parameters.
        modify : callable
            Makes the modified weight.
        """
        key = (weight.data_ptr(), weight.shape, name)
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = modify(weight.detach())
        return made
