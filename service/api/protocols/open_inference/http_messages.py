"""Bodies of `infer` over HTTP: JSON, with binary tensors behind it where a header says so.

Parsing takes a few passes over the text in C, during which the interpreter's lock is held: the
number of values is bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from starlette.responses import Response

from service.api.protocols.open_inference.messages import (
    VERSION,
    InferRequest,
    InputTensor,
    OutputTensor,
    RequestedOutput,
    check_tensor_parameters,
)
from service.api.protocols.open_inference.tensors import IMAGE, to_binary, to_json
from service.errors import BrokenRequest, TooLarge
from service.text import shorten

LENGTH_HEADER = "Inference-Header-Content-Length"
JSON, BINARY = "application/json", "application/octet-stream"
MAX_VALUES = 1 << 20  # of JSON: seven images of 224 x 224 as pixels; parsed in 30 ms
_MAX_DIMENSIONS = 8
_BINARY_SIZE = "binary_data_size"


def parse_infer(body: bytes, header: str | None, model: str) -> InferRequest:
    """Parse the body of a request.

    Parameters
    ----------
    body : bytes
        Without its content codings.
    header : str or None
        The value of `LENGTH_HEADER`: how many bytes of the body are JSON; all without it. With 0
        the body is one image file.
    model : str
        The model of the path.

    Raises
    ------
    BrokenRequest
        It is not a request of the protocol.
    TooLarge
        Its JSON has too many values.
    """
    n_bytes = _json_length(body, header)
    if n_bytes == 0 and body:
        image = InputTensor(IMAGE, "BYTES", (1,), data=[body])
        return InferRequest(model, "", [image], (), {}, is_binary=True)
    hint = f"; binary tensors behind it need the header `{LENGTH_HEADER}`"
    fields = parse_object(body[:n_bytes], hint)
    parameters = _parameters(fields)
    is_binary = _flag(parameters, "binary_data_output", False)
    return InferRequest(
        model,
        _typed(fields, "id", str, ""),
        _inputs(_typed(fields, "inputs", list, []), memoryview(body)[n_bytes:]),
        tuple(_output(each, is_binary) for each in _typed(fields, "outputs", list, None) or ()),
        parameters,
        is_binary,
    )


def parse_object(body: bytes, hint: str = "") -> dict[str, Any]:
    """Parse a JSON object.

    Parameters
    ----------
    body : bytes
        UTF-8.
    hint : str
        What may be wrong where it is not JSON.

    Raises
    ------
    BrokenRequest
        It is none.
    TooLarge
        It has too many values.
    """
    if sum(body.count(character) for character in b",[{") > MAX_VALUES:
        raise TooLarge(
            f"the JSON has more than {MAX_VALUES:,} values; send tensors in binary form, or fewer "
            "or smaller images"
        )
    try:
        fields = orjson.loads(body)
    except ValueError as error:
        raise BrokenRequest(f"the body is not valid JSON: {error}{hint}") from error
    if not isinstance(fields, dict):
        raise BrokenRequest("the body must be a JSON object")
    return fields


def object_of(fields: dict[str, Any], name: str) -> dict[str, Any]:
    """An object in a JSON object; an empty one where it is left out.

    Raises
    ------
    BrokenRequest
        It is no object.
    """
    value: dict[str, Any] = _typed(fields, name, dict, {})
    return value


def infer_response(
    request: InferRequest, outputs: Sequence[OutputTensor], parameters: dict[str, str]
) -> Response:
    """Write the response.

    Parameters
    ----------
    request : InferRequest
        Its outputs are those of the response, in this order.
    outputs : sequence of OutputTensor
        The tensors.
    parameters : dict
        Those of the response.
    """
    binary = {output.name: output.is_binary for output in request.outputs}
    entries, pieces = [], []
    for tensor in outputs:
        entry: dict[str, Any] = {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": list(tensor.shape),
        }
        if binary.get(tensor.name, request.is_binary):
            pieces.append(to_binary(tensor))
            entry["parameters"] = {_BINARY_SIZE: len(pieces[-1])}
        else:
            entry["data"] = to_json(tensor)
        entries.append(entry)
    fields: dict[str, Any] = {"id": request.id} if request.id else {}
    fields |= {"model_name": request.model, "model_version": VERSION, "parameters": parameters}
    head = orjson.dumps(fields | {"outputs": entries}, option=orjson.OPT_SERIALIZE_NUMPY)
    if not pieces:
        return Response(head, media_type=JSON)
    headers = {LENGTH_HEADER: str(len(head))}
    return Response(b"".join([head, *pieces]), media_type=BINARY, headers=headers)


def _json_length(body: bytes, header: str | None) -> int:
    if header is None:
        return len(body)
    if not (header.isascii() and header.isdecimal() and len(header) < 20):
        raise BrokenRequest(
            f"`{LENGTH_HEADER}: {shorten(header)}` must be the number of bytes of the JSON, which "
            "the binary tensors stand behind"
        )
    if int(header) > len(body):
        raise BrokenRequest(f"`{LENGTH_HEADER}` says {header} bytes, but the body has {len(body)}")
    return int(header)


def _inputs(entries: list[Any], tail: memoryview) -> list[InputTensor]:
    """The inputs, with their parts of the bytes behind the JSON."""
    inputs, at = [], 0
    for entry in entries:
        fields = _object(entry, "each of `inputs`")
        size = _tensor_parameters(fields).get(_BINARY_SIZE)
        raw = None
        if size is not None:
            if not isinstance(size, int) or isinstance(size, bool) or size < 0:
                raise BrokenRequest(f"`{_BINARY_SIZE}` must be a number of bytes")
            raw, at = tail[at : at + size], at + size
        inputs.append(
            InputTensor(
                _typed(fields, "name", str, ""),
                _typed(fields, "datatype", str, ""),
                _shape(fields),
                raw,
                fields.get("data"),
            )
        )
    if at != len(tail):
        raise BrokenRequest(
            f"the inputs have {at} bytes by their `{_BINARY_SIZE}`, but {len(tail)} stand behind "
            f"the JSON; `{LENGTH_HEADER}` must be its length in bytes"
        )
    return inputs


def _output(entry: Any, is_binary: bool) -> RequestedOutput:
    fields = _object(entry, "each of `outputs`")
    parameters = _tensor_parameters(fields)
    n_classes = parameters.get("classification", 0)
    if not isinstance(n_classes, int) or isinstance(n_classes, bool) or n_classes < 0:
        raise BrokenRequest("`classification` of an output must be a number of classes")
    return RequestedOutput(
        _typed(fields, "name", str, ""),
        n_classes,
        _flag(parameters, "binary_data", is_binary),
    )


def _shape(fields: dict[str, Any]) -> tuple[int, ...]:
    shape = fields.get("shape")
    if (
        not isinstance(shape, list)
        or len(shape) > _MAX_DIMENSIONS
        or not all(type(side) is int and side >= 0 for side in shape)
    ):
        raise BrokenRequest("`shape` of an input must be a list of whole numbers")
    return tuple(shape)


def _parameters(fields: dict[str, Any]) -> dict[str, Any]:
    return object_of(fields, "parameters")


def _tensor_parameters(fields: dict[str, Any]) -> dict[str, Any]:
    parameters = _parameters(fields)
    check_tensor_parameters(parameters)
    return parameters


def _flag(parameters: dict[str, Any], name: str, default: bool) -> bool:
    value = parameters.get(name)
    if value is not None and not isinstance(value, bool):
        raise BrokenRequest(f"`{name}` must be true or false")
    return default if value is None else value


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BrokenRequest(f"{what} must be a JSON object")
    return value


_KINDS: dict[type, str] = {str: "a string", list: "a list", dict: "an object"}


def _typed(fields: dict[str, Any], name: str, kind: type, default: Any) -> Any:
    value = fields.get(name)
    if value is None:
        return default
    if not isinstance(value, kind):
        raise BrokenRequest(f"`{name}` must be {_KINDS[kind]}")
    return value
