"""Requests and responses of `infer`, as HTTP and gRPC have them in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import BrokenRequest
from service.runtime.jobs import Floats

_SHARED_MEMORY = "shared_memory_region"
VERSION = "1"  # of every model: a new one replaces the old one under the same name


@dataclass(frozen=True)
class InputTensor:
    """An input of a request.

    Attributes
    ----------
    raw : bytes or None
        Its elements in the protocol's binary form; None where they are in `data`.
    data : object
        Its elements as a list, flat or nested; elements of type `BYTES` are bytes, or base64.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    raw: bytes | memoryview | None = None
    data: Any = None


@dataclass(frozen=True)
class RequestedOutput:
    """An output that a request names.

    Attributes
    ----------
    n_classes : int
        Of the classification extension: number of the best classes; 0 for the tensor itself.
    is_binary : bool
        Whether a response over HTTP has it in binary form.
    """

    name: str
    n_classes: int = 0
    is_binary: bool = False


@dataclass(frozen=True)
class InferRequest:
    """A request of `infer`.

    Attributes
    ----------
    id : str
        What the client calls it; the response repeats it.
    outputs : tuple of RequestedOutput
        Empty for the default outputs.
    parameters : mapping of str to Any
        Options, and reserved parameters.
    is_binary : bool
        Whether outputs that are not named are in binary form, over HTTP.
    """

    model: str
    id: str
    inputs: Sequence[InputTensor]
    outputs: tuple[RequestedOutput, ...]
    parameters: Mapping[str, Any]
    is_binary: bool = False


@dataclass(frozen=True)
class OutputTensor:
    """An output of a response.

    Attributes
    ----------
    data : numpy.ndarray or list of bytes
        An array of the shape; elements of type `BYTES`, flat.
    is_text : bool
        Whether elements of type `BYTES` are UTF-8; others are base64 in JSON.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: Floats | NDArray[np.uint8] | list[bytes]
    is_text: bool = False


def check_tensor_parameters(parameters: Mapping[str, Any]) -> None:
    """Refuse what the parameters of an input or output ask for and the service cannot do.

    Raises
    ------
    BrokenRequest
        The tensor is in shared memory.
    """
    if _SHARED_MEMORY in parameters:
        raise BrokenRequest(
            f"`{_SHARED_MEMORY}`: shared memory is not supported; send tensors in the request, and "
            "receive them in the response"
        )
