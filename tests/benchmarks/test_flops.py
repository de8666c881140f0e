"""Operations are counts, not times: what the twin saves can be asserted."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from benchmarks.cases import make_case
from benchmarks.flops import count
from service.methods import COMPOSITES
from service.models.bundles import Bundle, read_bundle
from service.models.registry import find_bundle

# in forward passes: what zennit takes, and what the twin may take
LIMITS = {
    "epsilon_plus_flat": (5.9, 3.0),
    "epsilon_plus": (5.9, 3.1),
    "epsilon_gamma_box": (11.7, 5.0),
    "epsilon_alpha2_beta1": (9.8, 4.0),
    "epsilon_alpha2_beta1_flat": (9.7, 4.0),
    "none": (2.0, 2.0),
}


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """Of its own: the engine changes the memory layout of a network."""
    return read_bundle(find_bundle("minivgg-cifar10"))


@pytest.mark.parametrize("composite", LIMITS)
def test_the_twin_takes_as_many_forward_passes_as_it_may(bundle: Bundle, composite: str) -> None:
    images = torch.randn(2, 3, 32, 32)
    case = make_case(bundle.model, images, composite)
    forward = count(lambda: bundle.model(images)).flops
    zennit, twin = LIMITS[composite]
    case.twin()  # the first time it tries how many rows go together
    assert count(case.naive).flops / forward >= zennit - 0.05
    assert count(case.twin).flops / forward <= twin + 1e-6


@pytest.mark.parametrize("composite", COMPOSITES)
def test_the_twin_never_takes_more_than_zennit(bundle: Bundle, composite: str) -> None:
    # of a lone image, the twin computes the row of a linear layer twice, which takes no time
    case = make_case(bundle.model, torch.randn(2, 3, 32, 32), composite)
    case.twin()
    assert count(case.twin).flops <= count(case.naive).flops * 1.01
    assert count(case.twin).flops <= count(case.oracle).flops * 1.01


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_convolution_has_as_many_operations_as_one_counts(dtype: torch.dtype) -> None:
    conv = nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2, bias=False).to(dtype)
    images = torch.randn(5, 4, 10, 10, dtype=dtype)
    by_hand = 2 * (5 * 6 * 5 * 5) * (2 * 3 * 3)
    assert count(lambda: conv(images)).flops == by_hand
    settings = ([1, 1], [2, 2], [1, 1], 2)
    if dtype == torch.float32:
        direct = count(lambda: torch.mkldnn_convolution(images, conv.weight, None, *settings))
        assert direct.flops == by_hand


def test_a_product_has_as_many_operations_as_one_counts() -> None:
    linear = nn.Linear(7, 3)
    assert count(lambda: linear(torch.randn(5, 7))).flops == 2 * 5 * 7 * 3
