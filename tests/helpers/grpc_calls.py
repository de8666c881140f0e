"""Calls of `inference.GRPCInferenceService` to a real server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

from service.api.protocols.open_inference_grpc.calls import SERVICE
from service.api.protocols.open_inference_grpc.messages import message_class
from service.settings import DEFAULT_MODEL
from tests.helpers.conditions import LIMIT_S

LOCAL = "127.0.0.1"
# each channel has a connection of its own, which several workers share out
OPTIONS = (("grpc.use_local_subchannel_pool", 1),)


@contextmanager
def channel_to(port: int, authority: Path | None = None) -> Iterator[grpc.Channel]:
    """A connection; with TLS `authority` is the file of whom it trusts."""
    address = f"{LOCAL}:{port}"
    if authority is None:
        with grpc.insecure_channel(address, OPTIONS) as channel:
            yield channel
    else:
        credentials = grpc.ssl_channel_credentials(authority.read_bytes())
        with grpc.secure_channel(address, credentials, OPTIONS) as channel:
            yield channel


def start(
    channel: grpc.Channel, method: str, fields: dict[str, Any], **options: Any
) -> grpc.Future | Any:
    """Begin a call; `result()` waits for its response."""
    remote = channel.unary_unary(
        f"/{SERVICE}/{method}",
        request_serializer=message_class(f"{method}Request").SerializeToString,
        response_deserializer=message_class(f"{method}Response").FromString,
    )
    request = message_class(f"{method}Request")(**fields)
    return remote.future(request, **{"timeout": LIMIT_S, **options})


def call(channel: grpc.Channel, method: str, /, options: Any = None, **fields: Any) -> Any:
    """The response of a call."""
    return start(channel, method, fields, **(options or {})).result()


def infer_fields(image: bytes, *outputs: str, **fields: Any) -> dict[str, Any]:
    """The fields of `ModelInfer` for an image file."""
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1]}
    return {
        "model_name": DEFAULT_MODEL,
        "inputs": [tensor | {"contents": {"bytes_contents": [image]}}],
        "outputs": [{"name": name} for name in outputs],
        **fields,
    }
