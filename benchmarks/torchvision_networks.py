"""Networks of torchvision as code of a user's own: `benchmarks.torchvision_networks:googlenet`."""

from __future__ import annotations

from typing import Any

from torch import nn
from torchvision.models import get_model


def _make(name: str, **options: Any) -> nn.Module:
    model: nn.Module = get_model(name, **options)
    return model


def googlenet(num_classes: int) -> nn.Module:
    """GoogLeNet without its auxiliary classifiers."""
    return _make("googlenet", num_classes=num_classes, aux_logits=False, init_weights=False)


def inception_v3(num_classes: int) -> nn.Module:
    """Inception v3 without its auxiliary classifier."""
    return _make("inception_v3", num_classes=num_classes, aux_logits=False, init_weights=False)


def efficientnet_b0(num_classes: int) -> nn.Module:
    """EfficientNet-B0."""
    return _make("efficientnet_b0", num_classes=num_classes)


def mobilenet_v2(num_classes: int) -> nn.Module:
    """MobileNet v2."""
    return _make("mobilenet_v2", num_classes=num_classes)


def densenet121(num_classes: int) -> nn.Module:
    """DenseNet-121."""
    return _make("densenet121", num_classes=num_classes)


NAMES = ("googlenet", "inception_v3", "efficientnet_b0", "mobilenet_v2", "densenet121")
