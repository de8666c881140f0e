"""The network architectures that a bundle can name."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from service.errors import BundleError


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


ARCHITECTURES: dict[str, Callable[[int], nn.Module]] = {"minivgg": MiniVGG}


def build(architecture: str, num_classes: int) -> nn.Module:
    """Make an untrained network.

    Parameters
    ----------
    architecture : str
        A key of `ARCHITECTURES`.
    num_classes : int
        The number of logits.

    Raises
    ------
    BundleError
        The architecture is not known.
    """
    factory = ARCHITECTURES.get(architecture)
    if factory is None:
        known = ", ".join(sorted(ARCHITECTURES))
        raise BundleError(f"the architecture {architecture!r} is not known; known are: {known}")
    return factory(num_classes)


def build_empty(architecture: str, num_classes: int) -> nn.Module:
    """Make a network whose parameters have shapes but no storage (they are on `meta`)."""
    with torch.device("meta"):
        return build(architecture, num_classes)
