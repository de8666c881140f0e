"""Between the host and the device: one copy in and one out for a batch, and no waiting between."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def to_device(values: NDArray[Any], device: torch.device) -> Tensor:
    """Copy an array to a device; from pinned memory where that is a GPU."""
    host = torch.from_numpy(np.ascontiguousarray(values))
    if device.type != "cuda":
        return host.to(device)
    return host.pin_memory().to(device, non_blocking=True)


def to_host(*tensors: Tensor) -> list[NDArray[np.float32]]:
    """Copy tensors from a device as float32, all of them in one copy.

    Indices of classes are exact in it.
    """
    flat = [tensor.detach().float().flatten() for tensor in tensors]
    if tensors[0].device.type == "cpu":
        parts = [part.numpy() for part in flat]
    else:
        whole = torch.cat(flat).cpu().numpy()
        ends = np.cumsum([len(part) for part in flat])
        parts = np.split(whole, ends[:-1])
    return [part.reshape(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]
