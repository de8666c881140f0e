"""Linear maps: torch's own layers forward, and autograd's gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from service.lrp.cpu.conv2d import BatchInvariantConv2d
from service.lrp.rules.linear_map import LinearMap, make_linear_map

LIMIT = 1e-12
STABILIZER = torch.tensor(1e-3, dtype=torch.float64)
CONVOLUTIONS: dict[int, type[nn.Module]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
EVEN_SAME = "ignore:Using padding=.same. with even kernel lengths"  # it copies its input
any_layer = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])


@dataclass(frozen=True)
class Case:
    """A layer and an input that it takes; without the values, for hypothesis to print."""

    kind: type[nn.Module]
    options: dict[str, Any]
    shape: tuple[int, ...]

    def make(self) -> tuple[Any, Tensor]:
        """Make the layer and the input, in float64."""
        torch.manual_seed(0)
        layer = self.kind(**self.options).double().requires_grad_(False)
        return layer, torch.randn(self.shape, dtype=torch.float64)


@st.composite
def convolutions(draw: st.DrawFn) -> Case:
    """Any convolution that pads with zeros."""
    n_dims = draw(st.integers(1, 3))

    def per_dim(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(n_dims))

    kernel, dilation = per_dim(1, 4), per_dim(1, 3)
    padding = draw(st.sampled_from(["same", "valid", per_dim(0, 3)]))
    stride = (1,) * n_dims if padding == "same" else per_dim(1, 3)
    groups = draw(st.integers(1, 3))
    widths = [groups * draw(st.integers(1, 2)) for _ in range(2)]
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    sides = tuple(side + extra for side, extra in zip(reach, per_dim(0, 4), strict=True))
    options = {
        "in_channels": widths[0],
        "out_channels": widths[1],
        "kernel_size": kernel,
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "bias": draw(st.booleans()),
    }
    return Case(CONVOLUTIONS[n_dims], options, (draw(st.integers(1, 3)), widths[0], *sides))


@st.composite
def linear_layers(draw: st.DrawFn) -> Case:
    """Any linear layer, over any leading dimensions."""
    n_in, n_out = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    leading = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    options = {"in_features": n_in, "out_features": n_out, "bias": draw(st.booleans())}
    return Case(nn.Linear, options, (*leading, n_in))


def layers() -> st.SearchStrategy[Case]:
    return st.one_of(linear_layers(), convolutions())


def map_of(layer: nn.Module) -> LinearMap:
    found = make_linear_map(layer)
    assert found is not None
    return found


def assert_same(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=LIMIT, atol=LIMIT)


def transpose_by_autograd(layer: nn.Module, x: Tensor, s: Tensor) -> Tensor:
    leaf = x.clone().requires_grad_()
    (found,) = torch.autograd.grad(layer(leaf), leaf, s)
    return found


@pytest.mark.filterwarnings(EVEN_SAME)
@any_layer
@given(case=layers())
def test_push_computes_what_the_layer_computes(case: Case) -> None:
    layer, x = case.make()
    assert_same(map_of(layer).forward(x, layer.weight, layer.bias), layer(x))


@pytest.mark.filterwarnings(EVEN_SAME)
@any_layer
@given(case=layers())
def test_the_transpose_is_autograds_vector_jacobian_product(case: Case) -> None:
    layer, x = case.make()
    s = torch.randn_like(layer(x))
    assert_same(map_of(layer).transpose(s, layer.weight, x), transpose_by_autograd(layer, x, s))


@pytest.mark.filterwarnings(EVEN_SAME)
@any_layer
@given(case=layers(), scale=st.floats(-2, 2))
def test_any_weight_of_the_same_shape_can_be_mapped_with(case: Case, scale: float) -> None:
    layer, x = case.make()
    linear_map, other = map_of(layer), layer.weight * scale + 0.5
    layer.weight.copy_(other)
    layer.bias = None
    s = torch.randn_like(layer(x))
    assert_same(linear_map.forward(x, other, None), layer(x))
    assert_same(linear_map.transpose(s, other, x), transpose_by_autograd(layer, x, s))


@pytest.mark.filterwarnings(EVEN_SAME)
@any_layer
@given(case=layers())
def test_spreading_divides_evenly_among_the_inputs_that_an_output_sees(
    case: Case,
) -> None:
    layer, x = case.make()
    linear_map, weight = map_of(layer), layer.weight.clone()
    layer.weight.fill_(1.0)
    layer.bias = None
    n_seen = layer(torch.ones_like(x))  # zeros beyond the edge are no inputs
    s = torch.randn_like(n_seen)
    wanted = transpose_by_autograd(layer, x, s / (n_seen + STABILIZER))
    assert_same(linear_map.spread_uniformly(s, weight, x, STABILIZER), wanted)


@pytest.mark.filterwarnings(EVEN_SAME)
@any_layer
@given(case=layers())
def test_spreading_uniformly_conserves_where_each_output_sees_an_input(case: Case) -> None:
    layer, x = case.make()
    linear_map = map_of(layer)
    n_seen = linear_map.forward(torch.ones_like(x), torch.ones_like(layer.weight), None)
    s = torch.randn_like(n_seen) * (n_seen > 0)
    found = linear_map.spread_uniformly(s, layer.weight, x, STABILIZER * 1e-97)
    torch.testing.assert_close(found.sum(), s.sum(), rtol=1e-10, atol=1e-10)


@pytest.mark.filterwarnings(EVEN_SAME)
@any_layer
@given(case=layers())
def test_a_value_for_each_output_channel_is_shaped_like_a_bias(case: Case) -> None:
    layer, x = case.make()
    linear_map, values = map_of(layer), torch.randn(layer.weight.shape[0], dtype=torch.float64)
    added = linear_map.forward(x, layer.weight, None) + linear_map.reshape_bias(values)
    assert_same(added, linear_map.forward(x, layer.weight, values))


@pytest.mark.parametrize(
    ("side", "kernel", "stride", "padding", "dilation"),
    [(9, 3, 2, 1, 1), (10, 3, 2, 1, 1), (12, 2, 3, 0, 1), (13, 3, 3, 2, 2), (11, 11, 4, 2, 1)],
)
def test_inputs_beyond_the_last_stride_get_their_part_or_nothing(
    side: int, kernel: int, stride: int, padding: int, dilation: int
) -> None:
    layer = nn.Conv2d(2, 3, kernel, stride, padding, dilation).double()
    x = torch.randn(2, 2, side, side + 1, dtype=torch.float64)
    s = torch.randn_like(layer(x)).detach()
    found = map_of(layer).transpose(s, layer.weight.detach(), x)
    assert found.shape == x.shape
    assert_same(found, transpose_by_autograd(layer, x, s))


@pytest.mark.parametrize("kernel", [2, 3, 4, 5])
@pytest.mark.filterwarnings(EVEN_SAME)
def test_a_steady_convolution_has_the_same_map(kernel: int) -> None:
    torch.manual_seed(0)
    layer = BatchInvariantConv2d(2, 3, kernel, padding="same").double().requires_grad_(False)
    x = torch.randn(1, 2, 7, 6, dtype=torch.float64)
    s = torch.randn_like(layer(x))
    assert_same(map_of(layer).forward(x, layer.weight, layer.bias), layer(x))
    assert_same(map_of(layer).transpose(s, layer.weight, x), transpose_by_autograd(layer, x, s))


class Doubled(nn.Conv2d):
    """A convolution that computes something else."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's name
        """Convolve twice the input."""
        return super().forward(2 * input)


class DoubledLinear(nn.Linear):
    """A linear layer that may compute something else."""


@pytest.mark.parametrize(
    "layer",
    [
        Doubled(2, 2, 3),
        DoubledLinear(2, 2),
        nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"),
        nn.Conv1d(2, 2, 3, padding=1, padding_mode="circular"),
        nn.ConvTranspose2d(2, 2, 3),
        nn.Bilinear(2, 2, 2),
        nn.BatchNorm2d(2),
        nn.ReLU(),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_a_layer_whose_forward_pass_is_not_known_exactly_has_no_map(layer: nn.Module) -> None:
    assert make_linear_map(layer) is None
