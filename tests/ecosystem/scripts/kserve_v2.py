"""KServe's REST and gRPC clients, protocol v2; prints what each call returned or raised, as JSON.

Runs in an environment of its own. Arguments: the URL, the address of gRPC, the model, an image, the
key.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig
from kserve.protocol.infer_type import RequestedOutput

URL, ADDRESS, MODEL, IMAGE, KEY = sys.argv[1:]
HEADERS = {"Authorization": f"Bearer {KEY}"}
FILE = Path(IMAGE).read_bytes()


def files(*contents: bytes, **how: bool) -> InferInput:
    tensor = InferInput("image", [len(contents)], "BYTES")
    tensor.set_data_from_numpy(np.array(contents, dtype=object), **how)
    return tensor


def pixels(**how: bool) -> InferInput:
    tensor = InferInput("image", [1, 8, 8, 3], "UINT8")
    tensor.set_data_from_numpy(np.zeros((1, 8, 8, 3), np.uint8), **how)
    return tensor


def wanted(*names: str, **parameters: Any) -> list[RequestedOutput]:
    return [RequestedOutput(name, parameters) for name in names]


def plain(result: Any) -> Any:
    if not hasattr(result, "outputs"):
        return result
    outputs = {output.name: output.as_numpy() for output in result.outputs}
    shapes = {name: list(array.shape) for name, array in outputs.items()}
    return {"id": result.id, "model": result.model_name, "shapes": shapes}


async def outcome_of(call: Awaitable[Any]) -> dict[str, Any]:
    try:
        return {"value": plain(await call)}
    except Exception as error:  # noqa: BLE001  each kind of the client's errors is an outcome
        return {"error": f"{type(error).__name__}: {error}"}


def rest_calls() -> dict[str, Awaitable[Any]]:
    client = InferenceRESTClient(RESTConfig(protocol="v2"))

    def infer(tensor: InferInput, model: str = MODEL, headers: Any = HEADERS, **how: Any) -> Any:
        # the client adds its own headers to those that it is given
        request = InferRequest(model, [tensor], **how)
        return client.infer(URL, request, model_name=model, headers=dict(headers))

    raw = {"name": "image", "shape": [1, 1, 1, 3], "datatype": "UINT8", "data": [1, 2, 3]}
    return {
        "live": client.is_server_live(URL),
        "ready": client.is_server_ready(URL),
        "model ready": client.is_model_ready(URL, MODEL, headers=HEADERS),
        "binary": infer(
            pixels(binary_data=True),
            request_outputs=wanted("scores", "heatmap", binary_data=True),
            parameters={"target": "cat"},
        ),
        "json": infer(pixels(binary_data=False), request_id="my-id"),
        "png": infer(
            files(FILE, binary_data=True), request_outputs=wanted("heatmap_png", "explanation")
        ),
        "binary default": infer(
            files(FILE, binary_data=True), parameters={"binary_data_output": True}
        ),
        "dict": client.infer(URL, {"inputs": [raw]}, model_name=MODEL, headers=dict(HEADERS)),
        "no key": infer(files(FILE, binary_data=True), headers={}),
        "no model": infer(files(FILE, binary_data=True), model="wolf"),
        "no class": infer(files(FILE, binary_data=True), parameters={"target": "wolf"}),
    }


def grpc_calls() -> dict[str, Awaitable[Any]]:
    client = InferenceGRPCClient(ADDRESS)
    metadata = [("authorization", f"Bearer {KEY}")]

    def infer(model: str = MODEL, headers: Any = metadata, **how: Any) -> Any:
        return client.infer(InferRequest(model, [files(FILE)], **how), headers=headers)

    return {
        "grpc live": client.is_server_live(),
        "grpc ready": client.is_server_ready(),
        "grpc model ready": client.is_model_ready(MODEL, headers=metadata),
        "grpc infer": infer(request_id="k1", parameters={"target": "cat"}),
        "grpc no key": infer(headers=None),
        "grpc no class": infer(parameters={"target": "wolf"}),
    }


async def main() -> None:
    calls = rest_calls() | grpc_calls()
    sys.stdout.write(json.dumps({name: await outcome_of(call) for name, call in calls.items()}))


asyncio.run(main())
