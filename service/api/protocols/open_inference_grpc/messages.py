"""Messages of the protocol, made from its descriptor, and their translation."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from service.api.protocols.open_inference.infer import InferResult
from service.api.protocols.open_inference.messages import (
    VERSION,
    InferRequest,
    InputTensor,
    RequestedOutput,
    check_tensor_parameters,
)
from service.api.protocols.open_inference.tensors import to_binary
from service.api.protocols.open_inference_grpc.compiler import DESCRIPTOR
from service.errors import BrokenRequest

PACKAGE = "inference"
_CONTENTS = {"BYTES": "bytes_contents", "UINT8": "uint_contents"}


@cache
def message_class(name: str) -> Any:
    """The class of a message of the protocol."""
    from google.protobuf import message_factory

    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"{PACKAGE}.{name}"))


@cache
def _pool() -> Any:
    """A pool of its own: a client in the same process may have registered the same names."""
    from google.protobuf import descriptor_pb2, descriptor_pool

    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTOR.read_bytes()).file:
        pool.Add(file)
    return pool


def make_message(name: str, fields: Mapping[str, Any]) -> Any:
    """Make a message of fields in the form of JSON; others than its own are left out."""
    from google.protobuf import json_format

    return json_format.ParseDict(fields, message_class(name)(), ignore_unknown_fields=True)


def parse(name: str, content: bytes) -> Any:
    """Parse a message.

    Raises
    ------
    BrokenRequest
        It is not one of this kind.
    """
    from google.protobuf.message import DecodeError

    try:
        return message_class(name).FromString(content)
    except DecodeError as error:
        raise BrokenRequest(f"the message is no {name}: {error}") from error


def parse_infer(content: bytes) -> tuple[InferRequest, str]:
    """Parse a request of `ModelInfer`; returns it, and the version of the model.

    Raises
    ------
    BrokenRequest
        It is none, or its raw contents are not those of its inputs.
    """
    message = parse("ModelInferRequest", content)
    raw = list(message.raw_input_contents)
    if raw and len(raw) != len(message.inputs):
        raise BrokenRequest(
            f"there are {len(message.inputs)} inputs, but {len(raw)} `raw_input_contents`"
        )
    request = InferRequest(
        message.model_name,
        message.id,
        [
            _input(tensor, raw[index] if raw else None)
            for index, tensor in enumerate(message.inputs)
        ],
        tuple(_output(output) for output in message.outputs),
        _values(message.parameters),
        is_binary=True,
    )
    return request, message.model_version or VERSION


def infer_response(result: InferResult) -> bytes:
    """Write the response of `ModelInfer`."""
    response = message_class("ModelInferResponse")(
        model_name=result.request.model, model_version=VERSION, id=result.request.id
    )
    for name, value in result.parameters.items():
        response.parameters[name].string_param = value
    for tensor in result.outputs:
        response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        response.raw_output_contents.append(to_binary(tensor))
    content: bytes = response.SerializeToString()
    return content


def _input(tensor: Any, raw: bytes | None) -> InputTensor:
    check_tensor_parameters(tensor.parameters)
    data = None
    if raw is None and tensor.datatype in _CONTENTS:
        data = list(getattr(tensor.contents, _CONTENTS[tensor.datatype]))
    return InputTensor(tensor.name, tensor.datatype, tuple(tensor.shape), raw, data)


def _output(output: Any) -> RequestedOutput:
    check_tensor_parameters(output.parameters)
    n_classes = _values(output.parameters).get("classification", 0)
    if type(n_classes) is not int or n_classes < 0:
        raise BrokenRequest("`classification` of an output must be a number of classes")
    return RequestedOutput(output.name, n_classes, is_binary=True)


def _values(parameters: Mapping[str, Any]) -> dict[str, Any]:
    kinds = {name: each.WhichOneof("parameter_choice") for name, each in parameters.items()}
    return {name: getattr(parameters[name], kind) for name, kind in kinds.items() if kind}
