"""Tensors of the protocol: inputs to images, outputs to bytes or JSON.

The binary form of a tensor is its elements in C order, little-endian; an element of type `BYTES` is
its length, four bytes, and its content.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pybase64

from service.api.protocols.open_inference.messages import InputTensor, OutputTensor
from service.api.request.json_body import decode_base64
from service.errors import BrokenRequest, too_many_images
from service.runtime.jobs import Pixels
from service.text import shorten

Images = list[bytes] | list[Pixels]

IMAGE = "image"
_LENGTH = struct.Struct("<I")
_SHAPES = "BYTES of shape [N], image files, or UINT8 of shape [N, H, W, 3], RGB pixels"


def images_of(inputs: Sequence[InputTensor], max_images: int) -> Images:
    """The images of a request.

    Raises
    ------
    BrokenRequest
        The inputs are not one tensor `image` of a type, shape and length that fit.
    TooLarge
        There are more images.
    """
    names = [tensor.name for tensor in inputs]
    if names != [IMAGE]:
        shown = ", ".join(shorten(name) for name in names[:5]) or "none"
        raise BrokenRequest(f"the inputs must be one tensor `{IMAGE}`: {_SHAPES}; not: {shown}")
    (tensor,) = inputs
    n_images = tensor.shape[0] if tensor.shape else 0
    if n_images > max_images:
        raise too_many_images(max_images)
    if n_images < 1:
        raise _wrong_shape(tensor)
    if tensor.datatype == "BYTES":
        return _files(tensor, n_images)
    if tensor.datatype == "UINT8":
        return _pixels(tensor)
    raise BrokenRequest(f"`{IMAGE}` must be {_SHAPES}; not {shorten(tensor.datatype)}")


def _files(tensor: InputTensor, n_images: int) -> list[bytes]:
    if tensor.shape not in ((n_images,), (n_images, 1)):
        raise _wrong_shape(tensor)
    if tensor.raw is not None:
        files = list(_split(memoryview(tensor.raw)))
    else:
        files = [_file(element) for element in _flatten(tensor.data, tensor.shape)]
    if len(files) != n_images:
        raise BrokenRequest(f"`{IMAGE}` has {len(files)} elements, but its shape says {n_images}")
    return files


def _file(element: Any) -> bytes:
    return element if isinstance(element, bytes) else decode_base64(element)


def _split(raw: memoryview) -> Iterator[bytes]:
    """The elements of a tensor of type `BYTES` in binary form."""
    at = 0
    while at < len(raw):
        start = at + _LENGTH.size
        end = start + _LENGTH.unpack_from(raw, at)[0] if start <= len(raw) else math.inf
        if end > len(raw):
            raise BrokenRequest(
                f"`{IMAGE}` ends within an element; each is its length, four bytes, little-endian, "
                "and its content"
            )
        at = int(end)
        yield bytes(raw[start:at])


def _pixels(tensor: InputTensor) -> list[Pixels]:
    shape = tensor.shape
    if len(shape) != 4 or shape[3] != 3 or min(shape) < 1:
        raise _wrong_shape(tensor)
    raw = tensor.raw if tensor.raw is not None else _pack(_flatten(tensor.data, shape))
    if len(raw) != math.prod(shape):
        raise BrokenRequest(
            f"`{IMAGE}` has {len(raw)} elements, but its shape {list(shape)} says "
            f"{math.prod(shape)}"
        )
    return list(np.frombuffer(raw, np.uint8).reshape(shape))


def _pack(values: list[Any]) -> bytes:
    try:
        return bytes(values)
    except (TypeError, ValueError):
        raise BrokenRequest(
            f"the data of `{IMAGE}`, of type UINT8, must be whole numbers from 0 to 255"
        ) from None


def _flatten(data: Any, shape: tuple[int, ...]) -> list[Any]:
    """The elements of a list that is flat, or nested as the shape says."""
    wrong = BrokenRequest(
        f"the data of `{IMAGE}` must be a list, flat or nested as its shape {list(shape)} says"
    )
    if not isinstance(data, list):
        raise wrong
    items: list[Any] = data
    if not items or not isinstance(items[0], list):
        return items
    if len(items) != shape[0]:
        raise wrong
    for length in shape[1:]:
        if not all(isinstance(item, list) and len(item) == length for item in items):
            raise wrong
        items = list(chain.from_iterable(items))
    return items


def _wrong_shape(tensor: InputTensor) -> BrokenRequest:
    shape = shorten(str(list(tensor.shape)))
    return BrokenRequest(
        f"`{IMAGE}` must be {_SHAPES}; not {shorten(tensor.datatype)} of shape {shape}"
    )


def to_binary(tensor: OutputTensor) -> bytes:
    """The binary form of an output."""
    if isinstance(tensor.data, np.ndarray):
        return tensor.data.tobytes()  # processors are little-endian
    return b"".join(_LENGTH.pack(len(element)) + element for element in tensor.data)


def to_json(tensor: OutputTensor) -> Any:
    """The elements of an output as a flat list, or an array that `orjson` writes as such."""
    if isinstance(tensor.data, np.ndarray):
        return np.ascontiguousarray(tensor.data).ravel()
    if tensor.is_text:
        return [element.decode() for element in tensor.data]
    return [pybase64.b64encode_as_string(element) for element in tensor.data]
