"""Architectures that a bundle can name: built-in, torchvision's, and user code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from service.errors import BundleError
from service.models.builtin import RESNET18_32, TORCHVISION, check_architecture

Factory = Callable[[int], nn.Module]


class MiniVGG(nn.Module):
    """A small VGG for 32x32 RGB images: four convolutions and three linear layers.

    Parameter names are those that `nn.Sequential` gives (`features.0.weight` ...
    `classifier.7.bias`), so checkpoints of the tutorial this grew from load unchanged.

    Parameters
    ----------
    num_classes : int
        The number of logits.
    """

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 32, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Dropout(0.35),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(64, 128, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Dropout(0.35),
            nn.Conv2d(128, 128, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(8192, 256),
            nn.ReLU(inplace=True),
            nn.Dropout(0.45),
            nn.Linear(256, 64),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(64, num_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits.

        Parameters
        ----------
        images : Tensor
            Normalized images, shape (N, 3, 32, 32), a floating dtype.

        Returns
        -------
        Tensor
            Logits, shape (N, num_classes).
        """
        logits: Tensor = self.classifier(self.features(images))
        return logits


def _of_torchvision(name: str) -> Factory:
    def make(num_classes: int) -> nn.Module:
        from torchvision.models import get_model  # slow, and bundles of MiniVGG need none of it

        model: nn.Module = get_model(name, weights=None, num_classes=num_classes)
        return model

    return make


def resnet18_for_32x32(num_classes: int = 10) -> nn.Module:
    """Build a ResNet18 for 32x32 RGB images (He et al. 2015, as it is usual on CIFAR-10).

    It is torchvision's, with a stem that keeps the resolution: a 3x3 convolution of stride 1, and
    no max-pool. The parameter names are torchvision's.

    Parameters
    ----------
    num_classes : int
        The number of logits.

    Returns
    -------
    torchvision.models.ResNet
        A network from images (N, 3, 32, 32) to logits (N, num_classes).
    """
    from torchvision.models import resnet18  # slow, and MiniVGG needs none of it

    model: nn.Module = resnet18(weights=None, num_classes=num_classes)
    stem = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")  # as all others
    model.conv1 = stem
    model.maxpool = nn.Identity()
    return model


ARCHITECTURES: dict[str, Factory] = {
    "minivgg": MiniVGG,
    RESNET18_32: resnet18_for_32x32,
    **{name: _of_torchvision(name) for name in TORCHVISION},
}


def build(architecture: str, num_classes: int, allowed_modules: Sequence[str] = ()) -> nn.Module:
    """Build an untrained network.

    Parameters
    ----------
    architecture : str
        A key of `ARCHITECTURES`, or `module:factory` for user code, which is called as
        `factory(num_classes)`.
    num_classes : int
        The number of logits.
    allowed_modules : sequence of str
        The modules that may be imported. A bundle alone must never decide what code runs.

    Raises
    ------
    BundleError
        The architecture is unknown or not allowed, or its code fails.
    """
    check_architecture(architecture, allowed_modules)
    if ":" in architecture:
        return _build_own(architecture, num_classes)
    return ARCHITECTURES[architecture](num_classes)


def build_empty(
    architecture: str, num_classes: int, allowed_modules: Sequence[str] = ()
) -> nn.Module:
    """Build a network without initializing its weights, where possible.

    Networks of `ARCHITECTURES` are built on the `meta` device, as their `state_dict` holds all of
    their tensors. User code may compute with its tensors, or keep some out of the `state_dict`: it
    is built on the CPU, as by `build`.
    """
    if ":" in architecture:
        return build(architecture, num_classes, allowed_modules)
    with torch.device("meta"):
        return build(architecture, num_classes)


def _build_own(architecture: str, num_classes: int) -> nn.Module:
    factory = _own_factory(architecture)
    try:
        model = factory(num_classes)
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise BundleError(
            f"the network {architecture} could not be made: its factory, called with "
            f"{num_classes} as its only argument, raised {in_one_line(error)}"
        ) from error
    return _checked(architecture, model).cpu().float()


def _checked(architecture: str, model: object) -> nn.Module:
    """Check that a user's network can be saved as a mapping of tensors."""
    if not isinstance(model, nn.Module):
        kind = type(model).__name__
        raise BundleError(f"{architecture} has to return a torch.nn.Module, not a {kind}")
    if any(is_lazy(tensor) for tensor in (*model.parameters(), *model.buffers())):
        raise BundleError(
            f"{architecture} has lazy layers, whose shapes are not known yet; give them their sizes"
        )
    extra = [name for name, value in model.state_dict().items() if not isinstance(value, Tensor)]
    if extra:
        raise BundleError(
            f"the state_dict of {architecture} may hold tensors only, but {extra[0]} is none"
        )
    return model


def _own_factory(architecture: str) -> Callable[..., object]:
    module, _, name = architecture.partition(":")
    try:
        factory: Callable[..., object] | None = getattr(import_module(module), name, None)
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise BundleError(
            f"the module {module!r} of the architecture {architecture} cannot be imported "
            f"({in_one_line(error)}): install it, or put its folder into PYTHONPATH"
        ) from error
    if factory is None:
        raise BundleError(f"the module {module!r} has no {name!r}, which {architecture} names")
    return factory


def in_one_line(error: BaseException) -> str:
    """An exception's type and the first line of its message."""
    first = next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
