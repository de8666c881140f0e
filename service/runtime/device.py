"""Choose the device that the models live on, and set it up."""

from __future__ import annotations

import resource
from pathlib import Path

import torch

from service.errors import BundleError


def open_device(name: str, n_sharing: int = 1) -> torch.device:
    """Check that a device is there, and make it compute in full float32.

    Parameters
    ----------
    name : str
        `auto` for the GPU if there is one, else the CPU; or a name as torch knows it.
    n_sharing : int
        How many threads like this one, in all processes, share the CPU: each gets its part.

    Raises
    ------
    BundleError
        There is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # some devices have no values, only shapes
    except (RuntimeError, AssertionError, ImportError) as error:
        raise BundleError(f"the device {name!r} cannot be used; give `auto` or `cpu`") from error
    torch.set_num_threads(max(1, torch.get_num_threads() // n_sharing))
    torch.backends.cuda.matmul.allow_tf32 = False  # relevance must equal the reference's
    torch.backends.cudnn.allow_tf32 = False
    return device


def describe_device(device: torch.device) -> str:
    """Name the device for people."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({torch.get_num_threads()} threads)"


def memory_bytes(device: torch.device) -> int:
    """Count the bytes in use on a GPU; on a CPU, the resident ones of the process."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    n_pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return n_pages * resource.getpagesize()
