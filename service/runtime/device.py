"""Choose the device that the models live on, and set it up."""

from __future__ import annotations

import os
import threading
from functools import cache

import torch

from service.errors import BundleError
from service.runtime.cores import N_THREADS_VARIABLES, usable_cores
from service.runtime.memory import resident_bytes

_counting = threading.Lock()


def usable_threads() -> int:
    """Threads of torch for all cores of this process, or as many as the user has chosen.

    They are counted once for all devices: each sets the number that torch has for its share.
    """
    with _counting:
        return _count_threads()


@cache
def _count_threads() -> int:
    n_threads = torch.get_num_threads()  # of physical cores; where the user has chosen, of these
    if any(name in os.environ for name in N_THREADS_VARIABLES):
        return n_threads
    return min(n_threads, usable_cores())


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


def describe_device(device: torch.device, n_threads: int | None = None) -> str:
    """Name the device for people, a CPU with its threads; by default all that it may use."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({n_threads or usable_threads()} threads)"


def memory_bytes(device: torch.device) -> int:
    """Count the bytes in use on a GPU; on a CPU, the resident ones of the process."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    return resident_bytes()
