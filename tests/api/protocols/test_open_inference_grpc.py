"""Calls over gRPC to an application in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from service.api.protocols.open_inference_grpc.calls import SERVICE
from service.api.protocols.open_inference_grpc.compiler import DESCRIPTOR, compile_proto
from service.api.protocols.open_inference_grpc.messages import message_class
from service.api.protocols.open_inference_grpc.server import GRPCError, GRPCServer
from service.settings import DEFAULT_MODEL, Settings
from tests.api.in_process import Connection, FakeEngine, connect
from tests.helpers.sockets import free_port

KEY = "a-key-of-the-tests"
METADATA = (("authorization", f"Bearer {KEY}"),)
LOCAL = "127.0.0.1"
IN_SHARED_MEMORY = {"parameters": {"shared_memory_region": {"string_param": "r"}}}


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Connection, int]]:
    with connect(Settings(api_keys=(KEY,), max_body_bytes=100_000), FakeEngine()) as connection:
        port = free_port()

        async def start() -> GRPCServer:
            server = GRPCServer(connection.app_state)
            await server.start([LOCAL], port)
            return server

        server = connection.run(start())
        yield connection, port
        connection.run(server.stop())


def call(
    served: tuple[Connection, int], method: str, metadata: Any = METADATA, **fields: Any
) -> Any:
    connection, port = served

    async def send() -> Any:
        async with grpc.aio.insecure_channel(f"{LOCAL}:{port}") as channel:
            remote = channel.unary_unary(
                f"/{SERVICE}/{method}",
                request_serializer=message_class(f"{method}Request").SerializeToString,
                response_deserializer=message_class(f"{method}Response").FromString,
            )
            request = message_class(f"{method}Request")(**fields)
            return await remote(request, metadata=metadata, timeout=60)

    return connection.run(send())


def infer(
    served: tuple[Connection, int],
    *images: bytes,
    about: dict[str, Any] | None = None,
    **fields: Any,
) -> Any:
    tensor: dict[str, Any] = {"name": "image", "datatype": "BYTES", "shape": [len(images)]}
    tensor |= {"contents": {"bytes_contents": images}, **(about or {})}
    return call(served, "ModelInfer", model_name=DEFAULT_MODEL, inputs=[tensor], **fields)


def test_the_descriptor_is_that_of_the_proto_file(tmp_path: Path) -> None:
    compile_proto(tmp_path / "new")
    assert (tmp_path / "new").read_bytes() == DESCRIPTOR.read_bytes()


def test_contents_are_images_and_outputs_are_raw(
    served: tuple[Connection, int], photo: bytes
) -> None:
    outputs = [{"name": "scores"}, {"name": "heatmap_png"}]
    response = infer(served, photo, photo, id="7", outputs=outputs)
    assert (response.id, response.model_name) == ("7", DEFAULT_MODEL)
    assert [list(output.shape) for output in response.outputs] == [[2, 10], [2]]
    assert len(response.raw_output_contents[0]) == 2 * 10 * 4
    assert response.raw_output_contents[1][4:8] == b"\x89PNG"


def test_health_needs_no_key_but_metadata_does(served: tuple[Connection, int]) -> None:
    assert call(served, "ServerLive", ()).live
    assert call(served, "ServerReady", ()).ready
    with pytest.raises(grpc.aio.AioRpcError, match="an API key is needed") as caught:
        call(served, "ServerMetadata", ())
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert call(served, "ModelMetadata", name=DEFAULT_MODEL).versions == ["1"]


@pytest.mark.parametrize(
    ("images", "fields", "code", "words"),
    [
        ((b"no image",), {}, "INVALID_ARGUMENT", "are not a PNG"),
        ((b"x" * 200_000,), {}, "RESOURCE_EXHAUSTED", "larger than max"),
        ((b"x",), {"model_version": "2"}, "NOT_FOUND", "no version '2'"),
        ((b"x",), {"raw_input_contents": [b"", b""]}, "INVALID_ARGUMENT", "raw_input_contents"),
        ((b"x",), {"about": IN_SHARED_MEMORY}, "INVALID_ARGUMENT", "is not supported"),
        (
            (b"x",),
            {"outputs": [{"name": "scores", **IN_SHARED_MEMORY}]},
            "INVALID_ARGUMENT",
            "is not supported",
        ),
    ],
)
def test_errors_have_codes_and_texts(
    served: tuple[Connection, int], images: Any, fields: Any, code: str, words: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        infer(served, *images, **fields)
    assert caught.value.code() is grpc.StatusCode[code]
    assert words in str(caught.value.details())


@pytest.mark.parametrize("name", ["config", "file:1/model.onnx"])
def test_a_model_is_not_replaced_by_a_request(served: tuple[Connection, int], name: str) -> None:
    parameters = {name: {"bytes_param": b"{}"}}
    with pytest.raises(grpc.aio.AioRpcError, match="is loaded from the bundle in its") as caught:
        call(served, "RepositoryModelLoad", model_name=DEFAULT_MODEL, parameters=parameters)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_calls_are_counted(served: tuple[Connection, int], photo: bytes) -> None:
    infer(served, photo)
    key = {"Authorization": f"Bearer {KEY}"}
    text = served[0].request("GET", "/metrics", headers=key).text
    assert f'model="{DEFAULT_MODEL}",route="/{SERVICE}/ModelInfer",status="200"' in text


def test_a_port_in_use_is_told(served: tuple[Connection, int]) -> None:
    connection, port = served

    async def start() -> None:
        await GRPCServer(connection.app_state).start([LOCAL], port)

    with pytest.raises(GRPCError, match="LRPSERVE_GRPC_PORT"):
        connection.run(start())
