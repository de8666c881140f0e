"""Networks before and while they are trained."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from service.models.architectures import MiniVGG
from training.config import FAST
from training.network import initialize, set_training

DROPOUTS = {"features.2": "feature", "features.8": "feature"} | {
    "classifier.3": "classifier",
    "classifier.6": "classifier",
}


@pytest.fixture(scope="module")
def images() -> Tensor:
    """Images whose neighbouring pixels and colours are alike, as those of photographs."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(300, 1, 10, 10, generator=generator).expand(-1, 3, -1, -1)
    smooth = functional.interpolate(coarse, size=32, mode="bilinear")
    return smooth + 0.1 * torch.randn(300, 3, 32, 32, generator=generator)


@pytest.fixture(scope="module")
def model(images: Tensor) -> MiniVGG:
    torch.manual_seed(0)
    model = MiniVGG().eval()
    initialize(model, images)
    return model


@pytest.mark.parametrize("feature", [False, True])
@pytest.mark.parametrize("classifier", [False, True])
def test_dropout_is_active_where_the_recipe_has_it(feature: bool, classifier: bool) -> None:
    model = MiniVGG().eval()
    set_training(model, replace(FAST, feature_dropout=feature, classifier_dropout=classifier))
    expected = {"feature": feature, "classifier": classifier}
    for name, kind in DROPOUTS.items():
        assert model.get_submodule(name).training == expected[kind], name
    assert model.features.training
    assert {n for n, m in model.named_modules() if isinstance(m, nn.Dropout)} == set(DROPOUTS)


def test_outputs_of_the_first_layer_are_white(model: MiniVGG, images: Tensor) -> None:
    first = model.features[0]
    assert isinstance(first, nn.Conv2d)
    inner = first(images)[:, :16, 1:-1, 1:-1]  # where no patch reaches over the border
    outputs = inner.permute(1, 0, 2, 3).flatten(1)
    correlation = torch.corrcoef(outputs)
    off_diagonal = correlation - torch.eye(16)
    assert off_diagonal.abs().max() < 0.05
    pixels = images.unfold(2, 3, 1).unfold(3, 3, 1).permute(0, 2, 3, 1, 4, 5).reshape(-1, 27)
    raw = torch.corrcoef(pixels[::50].T) - torch.eye(27)
    assert raw.abs().max() > 0.5  # which is not so without it


def test_outputs_of_the_first_layer_have_variance_1_but_for_the_weakest(
    model: MiniVGG, images: Tensor
) -> None:
    first = model.features[0]
    assert isinstance(first, nn.Conv2d)
    outputs = first(images)[:, :16, 1:-1, 1:-1].square().mean((0, 2, 3))
    pixels = functional.unfold(images, 3).transpose(1, 2).flatten(0, 1)
    variances = torch.linalg.eigvalsh(pixels.T @ pixels / len(pixels)).flip(0)[:16]
    torch.testing.assert_close(outputs, variances / (variances + 0.05), rtol=0.05, atol=0)
    assert outputs[0] > 0.95
    assert outputs[-1] < 0.5  # noise is not amplified to the same variance


def test_the_first_layer_has_each_filter_and_its_negative(model: MiniVGG) -> None:
    weight = model.features[0].weight
    assert isinstance(weight, Tensor)
    assert torch.equal(weight[:16], -weight[16:])


def test_a_signal_neither_vanishes_nor_explodes(model: MiniVGG, images: Tensor) -> None:
    signal, spreads = images, []
    for layer in [*model.features, *model.classifier]:
        signal = layer(signal.clone()).detach()
        if isinstance(layer, nn.Conv2d | nn.Linear):
            spreads.append(float(signal.std()))
    assert all(0.2 < spread < 5 for spread in spreads[:-1])
    assert spreads[-1] < spreads[-2]  # small logits
