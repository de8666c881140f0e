"""Requests of the Open Inference Protocol and their responses, as clients write and read them."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import numpy as np

from service.api.protocols.open_inference.http_messages import LENGTH_HEADER
from service.settings import DEFAULT_MODEL
from tests.api.in_process import Connection

INFER = f"/v2/models/{DEFAULT_MODEL}/infer"
DTYPES = {"FP32": "<f4", "UINT8": "u1"}
Outputs = Sequence[str | dict[str, Any]]


def files(*images: bytes) -> dict[str, Any]:
    """An input of image files in JSON."""
    data = [base64.b64encode(image).decode() for image in images]
    return {"name": "image", "datatype": "BYTES", "shape": [len(images)], "data": data}


def pixels(array: np.ndarray, *, is_flat: bool = True) -> dict[str, Any]:
    """An input of pixels in JSON."""
    data = array.ravel() if is_flat else array
    shape = list(array.shape)
    return {"name": "image", "datatype": "UINT8", "shape": shape, "data": data.tolist()}


def request_of(
    tensor: Mapping[str, Any], outputs: Outputs = (), /, **parameters: Any
) -> dict[str, Any]:
    """The fields of a request."""
    named = [{"name": each} if isinstance(each, str) else each for each in outputs]
    fields: dict[str, Any] = {"inputs": [dict(tensor)]}
    fields |= {"outputs": named} if outputs else {}
    return fields | ({"parameters": parameters} if parameters else {})


def infer(
    connection: Connection, tensor: Mapping[str, Any], outputs: Outputs = (), /, **parameters: Any
) -> httpx.Response:
    """Send a request in JSON, without a content type."""
    return send(connection, request_of(tensor, outputs, **parameters))


def send(
    connection: Connection,
    fields: Mapping[str, Any],
    tail: bytes | None = None,
    *,
    path: str = INFER,
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    """Send the fields of a request, and bytes behind them."""
    head = json.dumps(fields).encode()
    own = {} if tail is None else {LENGTH_HEADER: str(len(head))}
    return connection.request(
        "POST", path, content=head + (tail or b""), headers={**own, **(headers or {})}
    )


def elements(*contents: bytes) -> bytes:
    """Elements of type `BYTES` in binary form."""
    return b"".join(struct.pack("<I", len(content)) + content for content in contents)


def split(raw: bytes) -> list[bytes]:
    """The elements of type `BYTES`."""
    found = []
    while raw:
        (length,) = struct.unpack_from("<I", raw)
        found.append(raw[4 : 4 + length])
        raw = raw[4 + length :]
    return found


def tensors(response: httpx.Response) -> dict[str, Any]:
    """The outputs of a response, by name: arrays, or lists of bytes or text."""
    assert response.status_code == 200, response.text[:500]
    length = int(response.headers.get(LENGTH_HEADER, len(response.content)))
    fields, tail = json.loads(response.content[:length]), response.content[length:]
    is_binary = LENGTH_HEADER in response.headers
    media_type = "application/octet-stream" if is_binary else "application/json"
    assert response.headers["content-type"] == media_type
    found = {}
    for output in fields["outputs"]:
        size = output.get("parameters", {}).get("binary_data_size")
        raw, tail = (None, tail) if size is None else (tail[:size], tail[size:])
        found[output["name"]] = _tensor(output, raw)
    assert tail == b""
    return found


def _tensor(output: Mapping[str, Any], raw: bytes | None) -> Any:
    shape = output["shape"]
    if output["datatype"] != "BYTES":
        dtype = DTYPES[output["datatype"]]
        flat = np.array(output["data"], dtype) if raw is None else np.frombuffer(raw, dtype)
        return flat.reshape(shape)
    flat_elements = output["data"] if raw is None else split(raw)
    assert len(flat_elements) == np.prod(shape)
    return flat_elements


def error_of(response: httpx.Response, status: int, *words: str) -> str:
    """Check that a response is an error that both clients can read; returns its text."""
    assert response.status_code == status, response.text[:500]
    assert response.headers["content-type"] == "application/json"
    (name, text), *others = response.json().items()
    assert (name, others) == ("error", [])
    for word in words:
        assert word in text
    return str(text)
