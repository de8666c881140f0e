"""Channels last: other strides, the same values, forward and backward."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from service.lrp.cpu.memory_format import ChannelsLastMaxPool2d, put_channels_last
from service.lrp.explainer import Explainer

LAST = torch.channels_last
SETTINGS: list[dict[str, Any]] = [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 3, "stride": 1, "dilation": 2},
    {"kernel_size": 2, "ceil_mode": True},
]


def network() -> nn.Sequential:
    layers = (nn.Conv2d(3, 4, 3, padding=1), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 2))
    return nn.Sequential(*layers)


def gradient_of(pool: nn.Module, images: Tensor, arrived: Tensor) -> Tensor:
    leaf = images.clone().requires_grad_()
    (found,) = torch.autograd.grad(pool(leaf), leaf, arrived)
    return found


def test_weights_get_their_channels_last_and_stay_the_same_parameters() -> None:
    model = network()
    before = {name: (id(p), p.clone()) for name, p in model.named_parameters()}
    put_channels_last(model)
    for name, parameter in model.named_parameters():
        assert (id(parameter), True) == (before[name][0], torch.equal(parameter, before[name][1]))
        assert parameter.ndim != 4 or parameter.is_contiguous(memory_format=LAST)


def test_pools_are_replaced_but_not_those_of_a_users_own() -> None:
    class Own(nn.MaxPool2d):
        pass

    model = nn.Sequential(nn.MaxPool2d(2), Own(2), nn.MaxPool1d(2), nn.AvgPool2d(2))
    put_channels_last(model)
    kinds = [type(module) for module in model]
    assert kinds == [ChannelsLastMaxPool2d, Own, nn.MaxPool1d, nn.AvgPool2d]


def test_elsewhere_than_on_a_cpu_nothing_changes() -> None:
    model = network().to("meta")
    put_channels_last(model)
    assert type(model[1]) is nn.MaxPool2d


@pytest.mark.parametrize("layout", [torch.contiguous_format, LAST], ids=str)
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_a_pool_and_its_gradient_equal_torchs(
    settings: dict[str, Any], layout: torch.memory_format
) -> None:
    torch.manual_seed(0)
    images = torch.randn(2, 5, 9, 9).contiguous(memory_format=layout)
    pool, own = nn.MaxPool2d(**settings), ChannelsLastMaxPool2d(**settings)
    assert torch.equal(own(images), pool(images))
    arrived = torch.randn_like(pool(images)).contiguous()
    assert torch.equal(gradient_of(own, images, arrived), gradient_of(pool, images, arrived))


def test_a_gradient_that_comes_from_a_flat_output_is_pooled_with_its_channels_last() -> None:
    images = torch.randn(2, 5, 8, 8).contiguous(memory_format=LAST).requires_grad_()
    seen: list[Tensor] = []
    pooled = ChannelsLastMaxPool2d(2)(images)
    backward_of_pool = pooled.grad_fn.next_functions[0][0]
    backward_of_pool.register_prehook(seen.extend)
    pooled.backward(torch.randn(2, 5, 4, 4))
    assert [tensor.is_contiguous(memory_format=LAST) for tensor in seen] == [True]


def test_an_image_without_a_batch_is_pooled_too() -> None:
    image = torch.randn(5, 8, 8)
    assert torch.equal(ChannelsLastMaxPool2d(2)(image), nn.MaxPool2d(2)(image))


def test_an_arranged_network_can_be_traced_again() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
    explainer = Explainer(model)
    assert explainer.network.graph is not None
    assert explainer.to_double().network.graph is not None
