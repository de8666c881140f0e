"""Networks that people write and that are not plain stacks of layers, for images of 8x8."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from tests.lrp.networks import settle

Step = Callable[[Any, Tensor], Tensor]


class Net(nn.Module):
    """Two convolutions, a batch norm and a linear layer; what is between them is given."""

    def __init__(self, middle: Step) -> None:
        super().__init__()
        self.middle = middle
        self.stem, self.conv = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.norm, self.relu = nn.BatchNorm2d(4), nn.ReLU()
        self.dense = nn.Linear(4, 4)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.unused, self.bias = nn.Linear(4, 4), nn.Parameter(torch.ones(4, 1, 1))
        self.pool = nn.MaxPool2d(2, return_indices=True)
        self.head = nn.Linear(4, 5)

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits."""
        x = self.middle(self, self.relu(self.stem(images)))
        return cast("Tensor", self.head(x.mean((2, 3))))


class Ordered(nn.Module):
    """A block whose activation is called before the first convolution, and defined before it."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.ModuleList([nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1)])
        self.stem, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 5)

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits."""
        x = self.block[1](self.stem(self.block[0](images)))
        return cast("Tensor", self.head(x.mean((2, 3))))


def _in_place(change: Callable[[Tensor], object]) -> Step:
    """What is changed in place, and its result not even used."""

    def middle(net: Net, x: Tensor) -> Tensor:
        y: Tensor = net.conv(x)
        change(y)
        return y + x

    return middle


def _with_dead_code(net: Net, x: Tensor) -> Tensor:
    net.unused(x.mean((2, 3)))
    kept: Tensor = net.relu(net.conv(x))
    return kept


def _sizes(net: Net, x: Tensor) -> Tensor:
    side = x.shape[2] + x.size(3)
    found: Tensor = x.reshape(x.size(0), x.shape[1], side // 2, -1)
    return found


def _attend(net: Net, x: Tensor) -> Tensor:
    tokens = x.flatten(2).transpose(1, 2)
    attended: Tensor = net.attention(tokens, tokens, tokens)[0]
    return attended.transpose(1, 2).reshape(x.shape)


def _relu_beside_skip(net: Net, x: Tensor) -> Tensor:
    before = net.conv(x)
    both: Tensor = net.relu(before) + before
    return both


_MIDDLES: dict[str, Step] = {
    "keyword": lambda net, x: net.relu(input=net.conv(input=x)),
    "relu_": _in_place(lambda y: y.relu_()),
    "clamp_": _in_place(lambda y: y.clamp_(min=0)),
    "leaky_relu_": _in_place(lambda y: functional.leaky_relu_(y, 0.1)),
    "scaled add_": _in_place(lambda y: y.add_(y.abs(), alpha=2)),
    "iadd": _in_place(lambda y: y.__iadd__(1.5)),
    "mul_": _in_place(lambda y: y.mul_(2)),
    "channels last": lambda net, x: net.dense(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2),
    "norm after a layer over channels": lambda net, x: net.norm(
        net.dense(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    ),
    "dead code": _with_dead_code,
    "a branch from a parameter": lambda net, x: net.conv(x) + net.conv(net.bias[None]),
    "a branch from a size": lambda net, x: net.conv(x) + net.conv(net.bias.expand_as(x)),
    "sizes": _sizes,
    "several outputs": _attend,
    "indices": lambda net, x: net.pool(net.conv(x))[0],
    "the same input twice": lambda net, x: net.conv(x) + net.conv(x),
    "a relu beside a skip": _relu_beside_skip,
}


class Shifted(nn.ReLU):
    """A ReLU of a network's own, whose output may be negative."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's name
        """Rectify and shift."""
        return super().forward(input) - 1


def _double(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
    return 2 * output


def _altered(alter: Callable[[Net], object]) -> nn.Module:
    net = Net(lambda net, x: net.relu(net.norm(net.conv(x))))
    alter(net)
    return net


UNUSUAL: dict[str, Callable[[], nn.Module]] = {
    **{name: partial(Net, middle) for name, middle in _MIDDLES.items()},
    "a hook": lambda: _altered(lambda net: net.conv.register_forward_hook(_double)),
    "a hook of a relu": lambda: _altered(lambda net: net.relu.register_forward_hook(_double)),
    "a relu of its own": lambda: _altered(lambda net: setattr(net, "relu", Shifted())),
    "weight norm": lambda: _altered(lambda net: weight_norm(net.conv)),
    "another order": Ordered,
}


def unusual(name: str) -> nn.Module:
    """One of them, in float64."""
    torch.manual_seed(0)
    return settle(UNUSUAL[name]()).double()
