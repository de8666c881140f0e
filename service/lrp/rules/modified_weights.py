"""Modified weights: made once for a network, and shared by all twins that need them."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from weakref import WeakValueDictionary

from torch import Tensor, nn


def positive(weight: Tensor) -> Tensor:
    """The positive part."""
    return weight.clamp(min=0)


def negative(weight: Tensor) -> Tensor:
    """The negative part."""
    return weight.clamp(max=0)


class ModifiedWeights:
    """A weak cache of modified weights: the same tensor for all twins of a network.

    It holds no references, so that a weight is freed with the last twin that uses it.
    """

    def __init__(self) -> None:
        self._made: WeakValueDictionary[Hashable, Tensor] = WeakValueDictionary()

    def make(self, weight: Tensor, name: Hashable, modify: Callable[[Tensor], Tensor]) -> Tensor:
        """Modify a weight, or look up the tensor that the same modification has made.

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


def weights_of(twin: nn.Module) -> dict[int, int]:
    """Sizes in bytes of the modified weights of a twin, by their addresses."""
    own = {parameter.data_ptr() for parameter in twin.parameters()}
    held = (value for module in twin.modules() for value in vars(module).values())
    tensors = [value for value in held if isinstance(value, Tensor)]
    return {t.data_ptr(): t.nbytes for t in tensors if t.data_ptr() not in own}
