"""Networks for the tests: the registry's with sane batch norms, and random small ones."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from hypothesis import reject
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from service.lrp.explainer import Explainer
from service.models.architectures import build
from service.models.bundles import read_bundle
from service.models.registry import find_bundle
from service.settings import DEFAULT_MODEL

LOW, HIGH = -2.0, 2.0
N_CLASSES = 5

# the smallest images that each can take, or little more
SIDES = {
    "minivgg": 32,
    "vgg11": 32,
    "vgg11_bn": 32,
    "resnet18": 32,
    "resnet18-32": 8,
    "resnet50": 32,
    "alexnet": 63,
}


HIDDEN = 64


@lru_cache
def architecture(name: str) -> nn.Module:
    """A network in float64; MiniVGG is the trained one, the others are random.

    The linear layers of VGG and AlexNet have 64 units for 4,096: those would take nearly all of
    the memory and the time, and are layers like others. `test_twin` has them at full width too.
    """
    if name == "minivgg":
        return copy.deepcopy(read_bundle(find_bundle(DEFAULT_MODEL)).model).double()
    return settle(narrow(full_width(name))).double()


def full_width(name: str) -> nn.Module:
    """A random network as the registry has it."""
    torch.manual_seed(0)
    return settle(build(name, N_CLASSES))


def narrow(model: nn.Module) -> nn.Module:
    """Replace the hidden linear layers by ones of 64 units."""
    for name, module in list(model.named_modules()):
        if not isinstance(module, nn.Linear) or max(module.in_features, module.out_features) < 4096:
            continue
        n_in = HIDDEN if module.in_features == 4096 else module.in_features
        n_out = HIDDEN if module.out_features == 4096 else module.out_features
        model.set_submodule(name, nn.Linear(n_in, n_out))
    return model


def settle(model: nn.Module) -> nn.Module:
    """Give batch norms statistics as after training, and take gradients off."""
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)):
            nn.init.normal_(_set(module.running_mean), 0, 0.2)
            nn.init.uniform_(_set(module.running_var), 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
    return model.eval().requires_grad_(False)


def _set(tensor: Tensor | None) -> Tensor:
    assert tensor is not None
    return tensor


def box(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The range of the images below, different for each channel."""
    spread = torch.tensor([1.0, 0.9, 0.8], dtype=dtype).view(1, 3, 1, 1)
    return LOW * spread, HIGH * spread


def make_explainer(model: nn.Module, dtype: torch.dtype) -> Explainer:
    """An explainer of a copy."""
    return Explainer(copy.deepcopy(model).to(dtype), box(dtype))


def make_images(n: int, side: int, dtype: torch.dtype, seed: int = 0) -> Tensor:
    """Images within the box."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand((n, 3, side, side), generator=generator, dtype=torch.float64)
    low, high = box(torch.float64)
    return (low + images * (high - low)).to(dtype)


@dataclass(frozen=True)
class Conv:
    """One convolution of a random network, and what follows it."""

    channels: int
    kernel: int
    stride: int
    padding: int | str
    dilation: int
    groups: int
    bias: bool
    norm: bool
    activation: str
    pool: str
    skip: bool


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "relu_in_place": lambda: nn.ReLU(inplace=True),
    "leaky": lambda: nn.LeakyReLU(0.2),
    "sigmoid": nn.Sigmoid,
    "elu": nn.ELU,
}
POOLS: dict[str, Callable[[], nn.Module]] = {
    "max": lambda: nn.MaxPool2d(2, ceil_mode=True),
    "average": lambda: nn.AvgPool2d(2, padding=1),
}


class RandomNetwork(nn.Module):
    """Convolutions as drawn, a global average pool, and linear layers."""

    def __init__(self, convs: list[Conv], hidden: int, bias: bool) -> None:
        super().__init__()
        self.convs = nn.ModuleList()
        self.norms, self.activations, self.pools = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        self.specs = convs
        self.widths = [3, *(spec.channels for spec in convs)]
        channels = 3
        for spec in convs:
            self.convs.append(_convolution(channels, spec))
            self.norms.append(nn.BatchNorm2d(spec.channels) if spec.norm else nn.Identity())
            self.activations.append(ACTIVATIONS.get(spec.activation, nn.Identity)())
            self.pools.append(POOLS.get(spec.pool, nn.Identity)())
            channels = spec.channels
        self.average = nn.AdaptiveAvgPool2d(2)
        self.first = nn.Linear(4 * channels, hidden, bias=bias)
        self.second = nn.Linear(hidden, N_CLASSES, bias=bias)

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits, in part by functions."""
        x = images
        for index, spec in enumerate(self.specs):
            before = x
            x = self.norms[index](self.convs[index](x))
            if spec.skip and self.widths[index] == spec.channels:
                x = x + functional.adaptive_avg_pool2d(before, x.shape[2:])  # the sizes may differ
            if spec.activation == "functional":
                x = functional.relu(x, inplace=True)
            x = self.pools[index](self.activations[index](x))
        x = torch.flatten(self.average(x), 1)
        logits: Tensor = self.second(torch.relu(self.first(x)))
        return logits


def _convolution(channels: int, spec: Conv) -> nn.Conv2d:
    groups = spec.groups if channels % spec.groups == 0 else 1
    stride = 1 if spec.padding == "same" else spec.stride
    padding: Any = spec.padding
    return nn.Conv2d(
        channels,
        spec.channels,
        spec.kernel,
        stride,
        padding,
        spec.dilation,
        groups,
        bias=spec.bias,
    )


@st.composite
def random_convolutions(draw: st.DrawFn) -> Conv:
    """Any convolution that an image of 20x20 survives."""
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    return Conv(
        channels=groups * draw(st.integers(1, 3)),
        kernel=draw(st.integers(1, 4)),
        stride=draw(st.integers(1, 2)),
        padding=draw(st.one_of(st.integers(1, 3), st.just("same"))),
        dilation=draw(st.integers(1, 2)),
        groups=groups,
        bias=draw(st.booleans()),
        norm=draw(st.booleans()),
        activation=draw(st.sampled_from([*ACTIVATIONS, "functional", "functional", "none"])),
        pool=draw(st.sampled_from(["none", "none", *POOLS])),
        skip=draw(st.booleans()),
    )


@st.composite
def random_networks(draw: st.DrawFn) -> nn.Module:
    """A random small network in float64 for images of 20x20."""
    convs = draw(st.lists(random_convolutions(), min_size=1, max_size=3))
    torch.manual_seed(draw(st.integers(0, 2**16)))
    network = RandomNetwork(convs, draw(st.integers(2, 6)), draw(st.booleans()))
    settle(network).double()
    try:
        network(torch.zeros(1, 3, 20, 20, dtype=torch.float64))
    except RuntimeError:  # nothing is left of the image, in three of a thousand
        reject()
    return network
