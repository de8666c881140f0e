"""Steady convolutions: torch's numbers, and an image's own whatever the batch."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from service.lrp.cpu.conv2d import (
    BatchInvariantConv2d,
    batch_invariant_conv2d,
    make_convolutions_batch_invariant,
    output_padding,
)

LIMITS = {torch.float64: 1e-12, torch.float32: 1e-4}
BATCHES = range(1, 18)
Pair = tuple[int, int]
is_steady_build = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="this build of torch has no oneDNN"
)


@st.composite
def settings_of_convolutions(draw: st.DrawFn) -> dict[str, Any]:
    """Stride, padding, dilation, groups, channels, kernel and sides that go together."""

    def pair(low: int, high: int) -> Pair:
        return draw(st.integers(low, high)), draw(st.integers(low, high))

    groups, kernel, dilation = draw(st.integers(1, 3)), pair(1, 4), pair(1, 3)
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    return {
        "arguments": (pair(1, 3), pair(0, 3), dilation, groups),
        "weight": (groups * draw(st.integers(1, 3)), draw(st.integers(1, 3)), *kernel),
        "sides": tuple(side + extra for side, extra in zip(reach, pair(0, 5), strict=True)),
        "n": draw(st.integers(1, 4)),
        "bias": draw(st.booleans()),
    }


def make(drawn: dict[str, Any], dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor | None]:
    torch.manual_seed(0)
    weight = torch.randn(drawn["weight"], dtype=dtype)
    channels = weight.shape[1] * drawn["arguments"][3]
    x = torch.randn(drawn["n"], channels, *drawn["sides"], dtype=dtype)
    return x, weight, torch.randn(len(weight), dtype=dtype) if drawn["bias"] else None


def assert_same(found: Tensor, wanted: Tensor) -> None:
    limit = LIMITS[wanted.dtype]
    torch.testing.assert_close(found, wanted, rtol=limit, atol=limit)


def steady_layer(
    weight: Tensor, bias: Tensor | None, arguments: tuple[Any, ...]
) -> BatchInvariantConv2d:
    stride, padding, dilation, groups = arguments
    layer = BatchInvariantConv2d(
        weight.shape[1] * groups,
        len(weight),
        (weight.shape[2], weight.shape[3]),
        stride,
        padding,
        dilation,
        groups,
        bias=bias is not None,
    )
    layer.weight = nn.Parameter(weight)
    layer.bias = None if bias is None else nn.Parameter(bias)
    return layer


@pytest.mark.parametrize("dtype", LIMITS, ids=str)
@settings(max_examples=100)
@given(drawn=settings_of_convolutions())
def test_a_convolution_equals_torchs(dtype: torch.dtype, drawn: dict[str, Any]) -> None:
    x, weight, bias = make(drawn, dtype)
    wanted = functional.conv2d(x, weight, bias, *drawn["arguments"])
    assert_same(batch_invariant_conv2d(x, weight, bias, *drawn["arguments"]), wanted)


@pytest.mark.parametrize("dtype", LIMITS, ids=str)
@settings(max_examples=100)
@given(drawn=settings_of_convolutions())
def test_a_steady_layer_and_its_gradient_equal_torchs(
    dtype: torch.dtype, drawn: dict[str, Any]
) -> None:
    x, weight, bias = make(drawn, dtype)
    layer, leaf = steady_layer(weight, bias, drawn["arguments"]), x.clone().requires_grad_()
    wanted = functional.conv2d(leaf, weight, bias, *drawn["arguments"])
    s = torch.randn_like(wanted)
    (wanted_gradient,) = torch.autograd.grad(wanted, leaf, s)
    found = layer(leaf)
    (gradient,) = torch.autograd.grad(found, leaf, s)
    assert_same(found.detach(), wanted.detach())
    assert_same(gradient, wanted_gradient)


@pytest.mark.filterwarnings("ignore:Using padding=.same. with even kernel lengths")
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("kernel", [3, 4])
def test_a_steady_layer_takes_paddings_by_name(padding: str, kernel: int) -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(2, 3, kernel, padding=padding)
    layer = copy.deepcopy(plain)
    make_convolutions_batch_invariant(layer)
    assert isinstance(layer, BatchInvariantConv2d)
    x = torch.randn(2, 2, 8, 8)
    assert_same(layer(x).detach(), plain(x).detach())


def test_a_steady_layer_gives_its_weight_no_gradient() -> None:
    layer, x = BatchInvariantConv2d(2, 3, 3), torch.randn(1, 2, 5, 5, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad is not None
    assert layer.weight.grad is None


def test_a_gradient_is_not_differentiated_again() -> None:
    layer, x = BatchInvariantConv2d(2, 3, 3), torch.randn(1, 2, 5, 5, requires_grad=True)
    s = torch.ones(1, 3, 3, 3, requires_grad=True)  # a gradient that needs one itself
    (gradient,) = torch.autograd.grad(layer(x), x, s, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


@is_steady_build
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("side", [4, 8, 13, 32])
@pytest.mark.parametrize(("n_in", "n_out", "kernel"), [(3, 8, 3), (16, 32, 3), (7, 5, 1)])
def test_an_image_in_a_batch_gives_bitwise_the_same_as_alone(
    layout: torch.memory_format, side: int, n_in: int, n_out: int, kernel: int
) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(n_in, n_out, kernel, padding=1)
    make_convolutions_batch_invariant(layer)
    images = torch.randn(BATCHES[-1], n_in, side, side).contiguous(memory_format=layout)
    with torch.no_grad():
        alone = [layer(images[row : row + 1])[0] for row in range(len(images))]
        for n in BATCHES:
            together = layer(images[:n])
            assert all(torch.equal(together[row], alone[row]) for row in range(n)), n


def network() -> nn.Sequential:
    torch.manual_seed(0)
    convs = (
        nn.Conv2d(3, 4, 3, padding=1),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        nn.Sequential(nn.Conv2d(4, 4, 3, groups=2), nn.ReLU()),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"),
    )
    return nn.Sequential(*convs, nn.Flatten(), nn.Linear(64, 3)).eval().requires_grad_(False)


def test_all_convolutions_that_pad_with_zeros_become_steady_and_no_others() -> None:
    model = network()
    make_convolutions_batch_invariant(model)
    kinds = [type(module) for module in model.modules() if isinstance(module, nn.Conv2d)]
    assert kinds == [BatchInvariantConv2d, nn.Conv2d, BatchInvariantConv2d, nn.Conv2d]
    assert type(model[-1]) is nn.Linear


def test_a_steady_network_computes_what_it_did() -> None:
    model, images = network(), torch.randn(2, 3, 6, 6)
    before = model(images)
    make_convolutions_batch_invariant(model)
    assert_same(model(images), before)


class Own(nn.Conv2d):
    """A network's own convolution, which may compute something else."""


def test_a_subclass_stays_as_it_is() -> None:
    layer = Own(2, 2, 3)
    make_convolutions_batch_invariant(layer)
    assert type(layer) is Own
    assert layer.weight.is_contiguous()


def test_a_convolution_elsewhere_than_on_a_cpu_stays_as_it_is() -> None:
    layer = nn.Conv2d(2, 2, 3, device="meta")
    make_convolutions_batch_invariant(layer)
    assert type(layer) is nn.Conv2d


@settings(max_examples=100)
@given(drawn=settings_of_convolutions())
def test_output_padding_gives_a_transposed_convolution_the_size_of_the_inputs(
    drawn: dict[str, Any],
) -> None:
    x, weight, _ = make(drawn, torch.float32)
    stride, padding, dilation, groups = drawn["arguments"]
    s = functional.conv2d(x, weight, None, *drawn["arguments"])
    missing = output_padding(x.shape[2:], s.shape[2:], weight.shape[2:], *drawn["arguments"])
    back = functional.conv_transpose2d(s, weight, None, stride, padding, missing, groups, dilation)
    assert back.shape == x.shape


def test_output_padding_by_hand() -> None:
    # 3 outputs two apart see 7 inputs with a kernel of 3; the eighth is what is missing
    assert output_padding([8], [3], [3], [2], [0], [1]) == [1]
    assert output_padding([7], [3], [3], [2], [0], [1]) == [0]
    assert output_padding([7, 8], [4, 4], [3, 3], [2, 2], [1, 1], [1, 1]) == [0, 1]
