"""The linear map of a convolution or a linear layer: forward with any weights, and transposed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from service.lrp.cpu.conv2d import BatchInvariantConv2d, batch_invariant_conv2d, output_padding
from service.lrp.cpu.linear import BatchInvariantLinear, batch_invariant_linear
from service.lrp.network.layers import is_altered

Function = Callable[..., Tensor]

# each with its transpose
_CONVOLUTIONS: dict[type[nn.Module], tuple[Function, Function]] = {
    nn.Conv1d: (functional.conv1d, functional.conv_transpose1d),
    nn.Conv2d: (batch_invariant_conv2d, functional.conv_transpose2d),
    BatchInvariantConv2d: (batch_invariant_conv2d, functional.conv_transpose2d),
    nn.Conv3d: (functional.conv3d, functional.conv_transpose3d),
}


class LinearMap(Protocol):
    """`forward` is `weight @ x + bias`; `transpose` is `weight.T @ s`, in the shape of `like`."""

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Map inputs to outputs."""

    def transpose(self, s: Tensor, weight: Tensor, like: Tensor) -> Tensor:
        """Map a tensor of the outputs' shape back to the inputs."""

    def spread_uniformly(
        self, s: Tensor, weight: Tensor, like: Tensor, stabilizer: Tensor
    ) -> Tensor:
        """Divide the value of each output evenly among its inputs."""

    def reshape_bias(self, values: Tensor) -> Tensor:
        """Reshape one value for each output channel, so that it can be added to outputs."""


class DenseMap:
    """Of a linear layer, over any leading dimensions."""

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Map (..., in) to (..., out)."""
        return batch_invariant_linear(x, weight, bias)

    def transpose(self, s: Tensor, weight: Tensor, like: Tensor) -> Tensor:
        """Map (..., out) to (..., in)."""
        return s @ weight

    def spread_uniformly(
        self, s: Tensor, weight: Tensor, like: Tensor, stabilizer: Tensor
    ) -> Tensor:
        """Give each of the inputs the same."""
        return (s.sum(-1, keepdim=True) / (weight.shape[1] + stabilizer)).expand_as(like)

    def reshape_bias(self, values: Tensor) -> Tensor:
        """Shape (out,)."""
        return values


@dataclass(frozen=True)
class ConvolutionMap:
    """Of a convolution in one, two or three dimensions that pads with zeros.

    Attributes
    ----------
    conv : callable
        The convolution in as many dimensions.
    conv_transpose : callable
        Its transpose.
    stride, padding, dilation : tuple of int
        One for each dimension.
    groups : int
        Groups of channels that do not see each other.
    extra : tuple of int
        Zeros to add after the end of each dimension, the last one first, as `pad` takes them:
        `padding="same"` with an even kernel needs one more there than in front.
    """

    conv: Function
    conv_transpose: Function
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    extra: tuple[int, ...] = ()

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Convolve (N, C, ...) to (N, C', ...)."""
        return self.conv(self._padded(x), weight, bias, *self._arguments())

    def transpose(self, s: Tensor, weight: Tensor, like: Tensor) -> Tensor:
        """Convolve transposed, (N, C', ...) to (N, C, ...)."""
        ends = reversed(self.extra[1::2]) if self.extra else [0] * len(self.stride)
        inputs = [side + end for side, end in zip(like.shape[2:], ends, strict=True)]
        missing = output_padding(inputs, s.shape[2:], weight.shape[2:], *self._arguments())
        found = self.conv_transpose(
            s, weight, None, self.stride, self.padding, missing, self.groups, self.dilation
        )
        return found[_corner(like)] if any(self.extra) else found

    def spread_uniformly(
        self, s: Tensor, weight: Tensor, like: Tensor, stabilizer: Tensor
    ) -> Tensor:
        """Give each input that an output sees the same: a box filter, as all channels are equal."""
        n, channels = like.shape[:2]
        box, seen = _box(self, weight.shape[1:], like.shape[2:], weight.dtype, weight.device)
        grouped = s.reshape(n, self.groups, -1, *s.shape[2:]).sum(2) / (seen + stabilizer)
        plane = like.new_empty(1, self.groups, *like.shape[2:])
        given = self.transpose(grouped, box, plane.expand(n, *plane.shape[1:]))
        if self.groups == 1:
            return given.expand_as(like)
        return given.repeat_interleave(channels // self.groups, dim=1)

    def reshape_bias(self, values: Tensor) -> Tensor:
        """Shape (C', 1, ...)."""
        return values.view(-1, *[1] * len(self.stride))

    def _padded(self, x: Tensor) -> Tensor:
        return functional.pad(x, self.extra) if any(self.extra) else x

    def _arguments(self) -> tuple[Any, ...]:
        return self.stride, self.padding, self.dilation, self.groups


@lru_cache(maxsize=64)  # of small tensors, which are the same for all images
def _box(
    linear_map: ConvolutionMap,
    kernel: tuple[int, ...],
    size: tuple[int, ...],
    dtype: torch.dtype,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """A kernel of ones for each group, and how many inputs each output is connected to."""
    box = torch.ones((linear_map.groups, 1, *kernel[1:]), dtype=dtype, device=device)
    ones = torch.ones((1, linear_map.groups, *size), dtype=dtype, device=device)
    return box, linear_map.forward(ones, box, None) * kernel[0]


def _corner(like: Tensor) -> tuple[Any, ...]:
    return (..., *(slice(0, size) for size in like.shape[2:]))


def make_linear_map(module: nn.Module) -> LinearMap | None:
    """Make the map of a layer; None for one whose forward pass is not known exactly.

    A subclass or a hook may compute something else, and a convolution may pad with other than
    zeros.
    """
    if is_altered(module):
        return None
    if type(module) in (nn.Linear, BatchInvariantLinear):
        return DenseMap()
    if not isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
        return None
    functions = _CONVOLUTIONS.get(type(module))
    if functions is None or module.padding_mode != "zeros":
        return None
    padding, extra = _padding(module)
    stride, dilation = tuple(module.stride), tuple(module.dilation)
    return ConvolutionMap(*functions, stride, padding, dilation, module.groups, extra)


def _padding(module: nn.Conv1d | nn.Conv2d | nn.Conv3d) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if module.padding == "valid":
        return (0,) * len(module.stride), ()
    if not isinstance(module.padding, str):
        return tuple(module.padding), ()
    totals = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
    extra = [side for total in reversed(totals) for side in (0, total % 2)]
    return tuple(total // 2 for total in totals), tuple(extra)
