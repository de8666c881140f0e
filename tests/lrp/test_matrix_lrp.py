"""Relevance equals an independent LRP in matrix form, on a tiny network."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from service.lrp.explainer import Explainer
from service.methods import COMPOSITES, Method, make_method
from tests.lrp import matrix_lrp
from tests.lrp.matrix_lrp import Layer, Parameters, Rule

SIDE = 6
N_CLASSES = 3


@pytest.fixture(scope="module")
def network() -> nn.Sequential:
    """Every kind of layer that the shipped network has, and biases that matter."""
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 5, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(20, 12),
        nn.ReLU(),
        nn.Linear(12, N_CLASSES),
    )
    for parameter in layers.parameters():
        nn.init.normal_(parameter, std=0.5)
    return layers.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def images() -> NDArray[np.float64]:
    """Normalized images have negative values too."""
    return np.random.default_rng(0).normal(size=(3, 3, SIDE, SIDE))


def as_matrices(network: nn.Sequential, composite: str) -> list[Layer]:
    first, conv, linear = RULES[composite]
    values = {name: p.detach().double().numpy() for name, p in network.named_parameters()}
    relu = matrix_lrp.ReLU("gradient" if composite == "none" else "pass")
    return [
        matrix_lrp.convolution(values["0.weight"], values["0.bias"], (6, 6), 1, first),
        relu,
        matrix_lrp.convolution(values["2.weight"], values["2.bias"], (6, 6), 0, conv),
        relu,
        matrix_lrp.max_pool((5, 4, 4), 2),
        matrix_lrp.dense(values["6.weight"], values["6.bias"], linear),
        relu,
        matrix_lrp.dense(values["8.weight"], values["8.bias"], linear),
    ]


# rules of the first layer, of the other convolutions, of the linear layers
RULES: dict[str, tuple[Rule, Rule, Rule]] = {
    "epsilon_plus_flat": ("flat", "zplus", "epsilon"),
    "epsilon_plus": ("zplus", "zplus", "epsilon"),
    "none": ("gradient", "gradient", "gradient"),
}


def methods() -> list[Method]:
    found = [make_method("none", "gradient", {})]
    for composite, zero_bias, (epsilon, stabilizer) in itertools.product(
        ("epsilon_plus_flat", "epsilon_plus"),
        (False, True),
        ((1e-6, 1e-6), (1e-9, 1e-9), (0.5, 0.05), (1e3, 1e-6), (1e-6, 1e3)),
    ):
        given = {"epsilon": epsilon, "stabilizer": stabilizer, "zero_bias": zero_bias}
        found.append(make_method(composite, "gradient", given))
    return found


def one_hot(logits: Tensor) -> Tensor:
    return nn.functional.one_hot(logits.argmax(1), N_CLASSES).to(logits)


def against(logits: Tensor) -> Tensor:
    return one_hot(logits) - one_hot(-logits)


def expected(
    network: nn.Sequential, images: NDArray[np.float64], start: Tensor, method: Method
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    given = dict(method.parameters)
    parameters = Parameters(
        float(given.get("epsilon", 0)),
        float(given.get("stabilizer", 0)),
        bool(given.get("zero_bias", False)),
    )
    layers = as_matrices(network, method.composite)
    starts = iter(start.double().numpy())
    answers = [
        matrix_lrp.propagate(layers, image.ravel(), lambda _: next(starts), parameters)
        for image in images
    ]
    logits, relevance = (np.array(column) for column in zip(*answers, strict=True))
    return logits, relevance.reshape(images.shape)


@pytest.mark.parametrize("start", [one_hot, against, Tensor.clone], ids=["one", "two", "logits"])
@pytest.mark.parametrize("method", methods(), ids=lambda m: str(list(m.describe().values())[1:]))
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
def test_relevance_equals_the_matrix_form(
    network: nn.Sequential,
    images: NDArray[np.float64],
    method: Method,
    start: object,
    dtype: torch.dtype,
    tolerance: float,
) -> None:
    assert callable(start)
    explainer = Explainer(nn.Sequential(*network).to(dtype))
    logits, relevance = explainer.explain(torch.tensor(images, dtype=dtype), start, method)
    wanted_logits, wanted = expected(network, images, start(logits), method)
    assert np.abs(wanted).max() > 0
    np.testing.assert_allclose(logits.numpy(), wanted_logits, rtol=tolerance, atol=tolerance)
    for found_item, wanted_item in zip(relevance.numpy(), wanted, strict=True):
        limit = tolerance * np.abs(wanted_item).max()
        np.testing.assert_allclose(found_item, wanted_item, rtol=0, atol=limit)


def test_every_composite_has_a_matrix_form() -> None:
    assert RULES.keys() == COMPOSITES.keys()


def test_an_unrolled_convolution_is_the_convolution(images: NDArray[np.float64]) -> None:
    rng = np.random.default_rng(1)
    weight, bias = rng.normal(size=(4, 3, 3, 3)), rng.normal(size=4)
    layer = matrix_lrp.convolution(weight, bias, (SIDE, SIDE), 1, "zplus")
    wanted = nn.functional.conv2d(
        torch.tensor(images), torch.tensor(weight), torch.tensor(bias), padding=1
    )
    found = np.array([layer.matrix @ image.ravel() + layer.bias for image in images])
    np.testing.assert_allclose(found, wanted.flatten(1).numpy(), atol=1e-12)


# one output, z = 2 * 1 - 1 * 3 + 4 * 1 + 1 = 4; its relevance is 1
BY_HAND = {
    ("epsilon", False): [2 / 4, -3 / 4, 4 / 4],
    ("epsilon", True): [2 / 3, -3 / 3, 4 / 3],
    ("zplus", False): [2 / 7, 0, 4 / 7],
    ("zplus", True): [2 / 6, 0, 4 / 6],
    ("flat", False): [1 / 3, 1 / 3, 1 / 3],
    ("gradient", False): [2, -1, 4],
}


@pytest.mark.parametrize(("case", "wanted"), BY_HAND.items(), ids=str)
def test_the_matrix_form_gives_what_one_computes_by_hand(
    case: tuple[Rule, bool], wanted: list[float]
) -> None:
    rule, zero_bias = case
    layer = matrix_lrp.dense(np.array([[2.0, -1.0, 4.0]]), np.array([1.0]), rule)
    image, start = np.array([1.0, 3.0, 1.0]), np.array([1.0])
    parameters = Parameters(epsilon=0, stabilizer=0, zero_bias=zero_bias)
    logits, relevance = matrix_lrp.propagate([layer], image, lambda _: start, parameters)
    assert logits == [4]
    np.testing.assert_allclose(relevance, wanted)


def test_in_the_matrix_form_the_winner_of_a_pool_takes_all() -> None:
    pool = matrix_lrp.max_pool((1, 2, 4), 2)
    image = np.array([1.0, 5, 2, 3, 4, 0, 9, 8])  # windows: 1 5 4 0 and 2 3 9 8
    logits, relevance = matrix_lrp.propagate(
        [pool], image, lambda _: np.array([0.25, 0.75]), Parameters(0, 0, zero_bias=False)
    )
    assert logits.tolist() == [5, 9]
    assert relevance.tolist() == [0, 0.25, 0, 0, 0, 0, 0.75, 0]
