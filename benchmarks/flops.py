"""Count floating point operations, also inside zennit's hooks, where torch's own counter fails."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class FlopCounter(TorchDispatchMode):
    """Counts the operations that run in its `with` block.

    Attributes
    ----------
    flops : int
        Of matrix products and convolutions: two for each multiply-add.
    operators : int
        Calls of ATen operators.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = self.operators = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Make a call, and count it."""
        output = func(*args, **(kwargs or {}))
        self.operators += 1
        packet = func.overloadpacket
        if packet is torch.ops.aten.mkldnn_convolution:  # which the registry does not know
            self.flops += convolution_flops(args[1].shape, output.shape)
        elif packet in flop_registry:
            self.flops += flop_registry[packet](*args, **(kwargs or {}), out_val=output)
        return output


def convolution_flops(weight: torch.Size, output: torch.Size) -> int:
    """Two for each weight of each output."""
    return 2 * prod(output) * prod(weight[1:])


def count(call: Callable[[], object]) -> FlopCounter:
    """Count the operations of a call."""
    counter = FlopCounter()
    with counter:
        call()
    return counter
