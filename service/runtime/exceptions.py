"""Exceptions of torch and of networks, as errors of the service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from service.errors import BundleError, OutOfMemory, ServiceError


@contextmanager
def wrap_model_errors(model: str) -> Iterator[None]:
    """Turn an unforeseen exception into a `BundleError` that names the model."""
    try:
        yield
    except ServiceError:
        raise
    except Exception as error:
        raise BundleError(
            f"the network of the model {model} cannot be used: {type(error).__name__}: {error}"
        ) from error


@contextmanager
def translate_oom() -> Iterator[None]:
    """Turn the out-of-memory errors of torch and Python into `OutOfMemory`."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        is_of_cpu = isinstance(error, RuntimeError) and "allocate memory" in str(error)
        if not (is_of_cpu or isinstance(error, (torch.OutOfMemoryError, MemoryError))):
            raise
        raise OutOfMemory(
            "this request needs more memory than the device has; lower the number of `targets`, "
            "or choose another attributor; the operator can choose a device with more memory"
        ) from None
