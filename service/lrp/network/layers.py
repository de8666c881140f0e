"""Modules that replace functions in a canonized network, and kinds of modules."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized
from zennit.types import Activation, AvgPool, BatchNorm, Convolution, Linear, MaxPool

# a plain gradient through these propagates relevance correctly
TRANSPARENT = (
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.Identity,
    nn.Flatten,
    nn.Unflatten,
)
RECTIFIERS = (nn.ReLU, nn.ReLU6)
# methods of tensors that give numbers, which have no relevance
NUMBER_METHODS = frozenset({"size", "dim", "numel", "stride"})
NON_NEGATIVE = (*RECTIFIERS, nn.Sigmoid, nn.Softplus, nn.Hardsigmoid, nn.Softmax)

__all__ = [
    "NON_NEGATIVE",
    "NUMBER_METHODS",
    "RECTIFIERS",
    "TRANSPARENT",
    "Activation",
    "AvgPool",
    "BatchNorm",
    "Convolution",
    "Linear",
    "MaxPool",
    "Sum",
    "is_altered",
    "is_as_known",
]


class Sum(nn.Module):
    """The sum of two branches: a module, so that it can have a rule.

    Without a rule, `x + f(x)` gives all of its relevance to each branch and so doubles it.
    """

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Add two tensors whose shapes broadcast."""
        return torch.add(left, right)


def is_altered(module: nn.Module) -> bool:
    """Whether a module computes more than its class says: by hooks, or by parametrized weights."""
    hooks = (*module._forward_pre_hooks, *module._forward_hooks)  # noqa: SLF001  no other way
    return bool(hooks) or is_parametrized(module)


def is_as_known(module: nn.Module) -> bool:
    """Whether a module computes what its class in torch, or here, says: no subclass, no hook."""
    return type(module).__module__.partition(".")[0] in ("torch", "service") and not is_altered(
        module
    )
