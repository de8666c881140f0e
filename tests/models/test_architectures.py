"""The architectures, as they are written down."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from service.errors import BundleError
from service.models.architectures import ARCHITECTURES, MiniVGG, build, build_empty

FEATURES = [
    "Conv2d(3, 32, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))",
    "ReLU(inplace=True)",
    "Dropout(p=0.35, inplace=False)",
    "Conv2d(32, 64, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))",
    "ReLU(inplace=True)",
    "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)",
    "Conv2d(64, 128, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))",
    "ReLU(inplace=True)",
    "Dropout(p=0.35, inplace=False)",
    "Conv2d(128, 128, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))",
    "ReLU(inplace=True)",
    "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)",
]
CLASSIFIER = [
    "Flatten(start_dim=1, end_dim=-1)",
    "Linear(in_features=8192, out_features=256, bias=True)",
    "ReLU(inplace=True)",
    "Dropout(p=0.45, inplace=False)",
    "Linear(in_features=256, out_features=64, bias=True)",
    "ReLU(inplace=True)",
    "Dropout(p=0.5, inplace=False)",
    "Linear(in_features=64, out_features=10, bias=True)",
]
PARAMETERS = [
    f"{layer}.{kind}"
    for layer in (
        *(f"features.{n}" for n in (0, 3, 6, 9)),
        *(f"classifier.{n}" for n in (1, 4, 7)),
    )
    for kind in ("weight", "bias")
]


def test_minivgg_has_these_layers() -> None:
    model = MiniVGG()
    assert [str(layer) for layer in model.features] == FEATURES
    assert [str(layer) for layer in model.classifier] == CLASSIFIER


def test_minivgg_has_the_parameter_names_of_the_tutorials_checkpoints() -> None:
    assert list(MiniVGG().state_dict()) == PARAMETERS


def test_logits_have_one_column_for_each_class() -> None:
    assert MiniVGG(num_classes=7)(torch.zeros(2, 3, 32, 32)).shape == (2, 7)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_can_be_built_with_and_without_storage(name: str) -> None:
    full, empty = build(name, 4), build_empty(name, 4)
    assert isinstance(full, nn.Module)
    shapes = {key: tensor.shape for key, tensor in full.state_dict().items()}
    assert {key: tensor.shape for key, tensor in empty.state_dict().items()} == shapes
    assert all(tensor.is_meta for tensor in empty.state_dict().values())


def test_an_unknown_architecture_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(BundleError, match="minivgg"):
        build("alexnet-of-mine", 10)
