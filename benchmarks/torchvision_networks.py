"""Networks of torchvision as code of a user's own: `benchmarks.torchvision_networks:googlenet`."""

from __future__ import annotations

from torch import nn
from torchvision.models import get_model


def googlenet(num_classes: int) -> nn.Module:
    """GoogLeNet without its auxiliary classifiers."""
    return get_model("googlenet", num_classes=num_classes, aux_logits=False, init_weights=False)


def inception_v3(num_classes: int) -> nn.Module:
    """Inception v3 without its auxiliary classifier."""
    return get_model("inception_v3", num_classes=num_classes, aux_logits=False, init_weights=False)


def efficientnet_b0(num_classes: int) -> nn.Module:
    """EfficientNet-B0."""
    return get_model("efficientnet_b0", num_classes=num_classes)


def mobilenet_v2(num_classes: int) -> nn.Module:
    """MobileNet v2."""
    return get_model("mobilenet_v2", num_classes=num_classes)


def densenet121(num_classes: int) -> nn.Module:
    """DenseNet-121."""
    return get_model("densenet121", num_classes=num_classes)


NAMES = ("googlenet", "inception_v3", "efficientnet_b0", "mobilenet_v2", "densenet121")
