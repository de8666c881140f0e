"""A linear layer computes torch's values, and for an item of a batch bitwise what it does alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from service.lrp.cpu.linear import (
    BatchInvariantLinear,
    batch_invariant_linear,
    make_linears_batch_invariant,
)


@pytest.mark.parametrize("n", [2, 3, 5, 8, 9, 17])
@pytest.mark.parametrize("shape", [(64,), (7, 64), (2, 3, 64), (100,), (1000,), (8192,)], ids=str)
def test_an_item_of_a_batch_gives_bitwise_the_same_as_alone(shape: tuple[int, ...], n: int) -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(shape[-1], 10), torch.randn(n, *shape)
    make_linears_batch_invariant(layer)
    with torch.no_grad():
        together = layer(x)
        assert all(torch.equal(layer(x[i : i + 1])[0], together[i]) for i in range(n))
    torch.testing.assert_close(together, nn.functional.linear(x, layer.weight, layer.bias))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_its_gradient_is_torchs(bias: bool, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(6, 4, bias=bias).to(dtype).requires_grad_(False)
    x, arrived = torch.randn(3, 5, 6, dtype=dtype), torch.randn(3, 5, 4, dtype=dtype)
    found = []
    for kind in (nn.Linear, BatchInvariantLinear):
        layer.__class__ = kind
        leaf = x.clone().requires_grad_()
        found.append(torch.autograd.grad(layer(leaf), leaf, arrived)[0])
    torch.testing.assert_close(*found)


def test_a_vector_alone_and_an_empty_batch_are_taken_too() -> None:
    layer = BatchInvariantLinear(6, 4).requires_grad_(False)
    for x in (torch.randn(6), torch.randn(0, 6)):
        assert torch.equal(layer(x), batch_invariant_linear(x, layer.weight, layer.bias))


def test_only_plain_layers_become_steady() -> None:
    class Own(nn.Linear):
        pass

    model = nn.Sequential(nn.Linear(2, 2), Own(2, 2), nn.Linear(2, 2, device="meta"))
    make_linears_batch_invariant(model)
    assert [type(module) for module in model] == [BatchInvariantLinear, Own, nn.Linear]
