"""Networks whose code depends on the memory format, on the batch, or on chance."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

SIDE = 16
Step = Callable[[Tensor], Tensor]


class Flattening(nn.Module):
    """Two convolutions, a step that is given, and a linear layer."""

    def __init__(self, flatten: Step, n_classes: int = 3) -> None:
        super().__init__()
        self.flatten = flatten
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3)
        self.pool, self.head = nn.MaxPool2d(2), nn.Linear(4 * 3 * 3, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits."""
        x = self.pool(functional.relu(self.first(images)))
        x = self.pool(functional.relu(self.second(x)))
        return cast("Tensor", self.head(self.flatten(x)))


class Branching(Flattening):
    """A network whose forward pass depends on its input: it has no graph."""

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits."""
        return super().forward(images if images.sum() < 1e9 else images + 1)


class Viewing(nn.Conv2d):
    """A convolution of a network's own, which is kept whole in the graph."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's name
        """Convolve, and view the output in another shape and back."""
        x = super().forward(input)
        return x.view(len(x), -1).view(x.shape)


# all give what `flatten(1)` gives
VIEWS: dict[str, Step] = {
    "-1, n": lambda x: x.view(-1, 36),
    "size(0), -1": lambda x: x.view(x.size(0), -1),
    "shape[0], -1": lambda x: x.view(x.shape[0], -1),
    "size()[0], -1": lambda x: x.view(x.size()[0], -1),
    "a tuple": lambda x: x.view((x.size(0), -1)),
    "size=": lambda x: x.view(size=(-1, 36)),
    "torch.Tensor.view": lambda x: torch.Tensor.view(x, x.size(0), -1),
    "two in a row": lambda x: x.view(x.size(0), 4, -1).view(x.size(0), -1),
    "view_as": lambda x: x.view_as(x.flatten(1)),
}
# what these give depends on the memory format
STRIDED: dict[str, Step] = {
    "as_strided": lambda x: x.as_strided((x.size(0), 36), (36, 1)),
    "strides": lambda x: x.flatten(1) + x.stride(1),
}
INSTANCE_NORMS: dict[str, Callable[[], nn.Module]] = {
    "InstanceNorm2d": lambda: nn.InstanceNorm2d(4),
    "affine": lambda: nn.InstanceNorm2d(4, affine=True),
    "GroupNorm": lambda: nn.GroupNorm(2, 4),
    "GroupNorm of channels": lambda: nn.GroupNorm(4, 4),
    "F.instance_norm": lambda: _Function(functional.instance_norm),
    "torch.instance_norm": lambda: _Function(
        lambda x: torch.instance_norm(x, None, None, None, None, True, 0.1, 1e-5, False)
    ),
    "InstanceNorm1d": lambda: _Folded(nn.InstanceNorm1d(4), (4, -1)),
    "InstanceNorm3d": lambda: _Folded(nn.InstanceNorm3d(4), (4, 4, 4, -1)),
    "LayerNorm": lambda: nn.LayerNorm([4, SIDE, SIDE]),
}


class _Function(nn.Module):
    def __init__(self, function: Step) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class _Folded(nn.Module):
    """A norm of tensors with other than two dimensions of space."""

    def __init__(self, norm: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.norm, self.shape = norm, shape

    def forward(self, x: Tensor) -> Tensor:
        return cast("Tensor", self.norm(x.reshape(x.size(0), *self.shape))).reshape(x.shape)


def normed(norm: nn.Module, n_classes: int = 3) -> nn.Module:
    """A network with a norm between two convolutions."""
    layers = (norm, nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2))
    head = (nn.Flatten(), nn.Linear(16, n_classes))
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), *layers, *head)


# the answer for an image depends on the others in its batch
MIXING: dict[str, Callable[[], nn.Module]] = {
    "batch norm without statistics": lambda: normed(nn.BatchNorm2d(4, track_running_stats=False)),
    "batch norm that trains": lambda: normed(
        _Function(lambda x: functional.batch_norm(x, None, None, training=True))
    ),
    "mean over dimension 0": lambda: normed(_Function(lambda x: x - x.mean(0))),
    "maximum of all": lambda: normed(_Function(lambda x: x / x.max())),
    "size of the batch": lambda: normed(_Function(lambda x: x / x.size(0))),
    "softmax over dimension 0": lambda: normed(_Function(lambda x: x.softmax(0))),
}
RANDOM: dict[str, Callable[[], nn.Module]] = {
    "F.dropout": lambda: normed(_Function(functional.dropout)),
    "noise": lambda: normed(_Function(lambda x: x + torch.randn_like(x))),
    "chance": lambda: normed(_Function(lambda x: x * torch.bernoulli(torch.full_like(x, 0.5)))),
}


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    """Make a network with weights that are the same each time."""
    torch.manual_seed(0)
    return make().eval().requires_grad_(False)
