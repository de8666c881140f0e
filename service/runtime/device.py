"""Choose the device that the models live on, and set it up."""

from __future__ import annotations

import torch

from service.errors import BundleError


def open_device(name: str) -> torch.device:
    """Check that a device is there, and make it compute in full float32.

    Parameters
    ----------
    name : str
        `auto` for the GPU if there is one, else the CPU; or a name as torch knows it.

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
    torch.backends.cuda.matmul.allow_tf32 = False  # relevance must equal the reference's
    torch.backends.cudnn.allow_tf32 = False
    return device


def describe_device(device: torch.device) -> str:
    """Name the device for people."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({torch.get_num_threads()} threads)"
