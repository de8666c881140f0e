"""Copies between host and device: one in and one out for a batch, without synchronizing between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_ALIGNED = 8  # bytes, of the widest number


def to_device(values: NDArray[Any], device: torch.device) -> Tensor:
    """Copy an array to a device; from pinned memory where that is a GPU."""
    host = torch.from_numpy(np.ascontiguousarray(values))
    if device.type != "cuda":
        return host.to(device)
    return host.pin_memory().to(device, non_blocking=True)


def to_device_at_once(arrays: Sequence[NDArray[Any]], device: torch.device) -> list[Tensor]:
    """Copy arrays to a device, in one copy where that is a GPU."""
    if device.type != "cuda":
        return [to_device(array, device) for array in arrays]
    return unpack(to_device(pack(arrays), device), arrays)


def pack(arrays: Sequence[NDArray[Any]]) -> NDArray[np.uint8]:
    """Concatenate the bytes of arrays, each aligned to 8 bytes."""
    parts = [np.frombuffer(array.tobytes(), np.uint8) for array in arrays]
    return np.concatenate([np.pad(part, (0, -len(part) % _ALIGNED)) for part in parts])


def unpack(packed: Tensor, arrays: Sequence[NDArray[Any]]) -> list[Tensor]:
    """Views of packed arrays, with their shapes and types; nothing is copied."""
    found, start = [], 0
    for array in arrays:
        dtype = torch.from_numpy(np.empty(0, array.dtype)).dtype
        found.append(packed[start : start + array.nbytes].view(dtype).view(array.shape))
        start += array.nbytes + -array.nbytes % _ALIGNED
    return found


def to_host(*tensors: Tensor) -> list[NDArray[np.float32]]:
    """Copy tensors from a device as float32, all of them in one copy.

    Indices of classes are exact in it.
    """
    flat = [tensor.detach().float().flatten() for tensor in tensors]
    if tensors[0].device.type == "cpu":
        parts = [part.numpy() for part in flat]
    else:
        whole = _to_host(torch.cat(flat)).numpy()
        ends = np.cumsum([len(part) for part in flat])
        parts = np.split(whole, ends[:-1])
    return [part.reshape(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]


def _to_host(tensor: Tensor) -> Tensor:
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.device.type == "cuda")
    return host.copy_(tensor)
