"""Triton's client: `http`, `aio` or `grpc`; prints what each call returned or raised, as JSON.

Runs in an environment of its own. Arguments: the kind, the address, the model, an image, the key.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tritonclient.utils import InferenceServerException

KIND, ADDRESS, MODEL, IMAGE, KEY = sys.argv[1:]
if KIND == "grpc":
    import tritonclient.grpc as triton
elif KIND == "aio":
    import tritonclient.http.aio as triton
else:
    import tritonclient.http as triton
HEADERS = {"authorization": f"Bearer {KEY}"}
FILE = Path(IMAGE).read_bytes()
ALL = ("scores", "logits", "relevance", "heatmap", "heatmap_png", "explanation")


def files(*contents: bytes) -> Any:
    tensor = triton.InferInput("image", [len(contents)], "BYTES")
    tensor.set_data_from_numpy(np.array(contents, dtype=object))
    return tensor


def pixels(array: np.ndarray, **how: bool) -> Any:
    tensor = triton.InferInput("image", list(array.shape), "UINT8")
    tensor.set_data_from_numpy(array, **how)
    return tensor


def plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return plain(value.tolist()) if value.size <= 100 else [str(value.dtype), *value.shape]
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return value


def outputs_of(result: Any, names: tuple[str, ...] = ALL) -> dict[str, Any]:
    return {name: plain(result.as_numpy(name)) for name in names}


def wanted(*names: str, **how: Any) -> list[Any]:
    return [triton.InferRequestedOutput(name, **how) for name in names]


def calls(client: Any) -> dict[str, Callable[[], Any]]:
    def infer(*inputs: Any, model: str = MODEL, headers: Any = HEADERS, **options: Any) -> Any:
        # the client adds its own headers to those that it is given
        return client.infer(model, list(inputs), headers=dict(headers), **options)

    as_json = {"as_json": True} if KIND == "grpc" else {}
    keyed = {"headers": HEADERS} | as_json
    in_json = {} if KIND == "grpc" else {"binary_data": False}
    found: dict[str, Callable[[], Any]] = {
        "live": client.is_server_live,
        "ready": client.is_server_ready,
        "model ready": lambda: client.is_model_ready(MODEL, headers=HEADERS),
        "version ready": lambda: client.is_model_ready(MODEL, "1", headers=HEADERS),
        "server metadata": lambda: client.get_server_metadata(**keyed),
        "model metadata": lambda: client.get_model_metadata(MODEL, **keyed),
        "version metadata": lambda: client.get_model_metadata(MODEL, "1", **keyed),
        "config": lambda: client.get_model_config(MODEL, **keyed),
        "index": lambda: client.get_model_repository_index(**keyed),
        "statistics": lambda: client.get_inference_statistics(MODEL, **keyed),
        "load": lambda: client.load_model(MODEL, headers=HEADERS),
        "unload": lambda: client.unload_model(MODEL, headers=HEADERS),
        "infer": lambda: infer(
            files(FILE), request_id="7", parameters={"target": "dog"}, outputs=wanted(*ALL)
        ),
        "no outputs": lambda: infer(files(FILE)),
        "pixels": lambda: infer(pixels(np.zeros((2, 40, 50, 3), np.uint8)), priority=1),
        "in json": lambda: infer(files(FILE, FILE), outputs=wanted("scores", **in_json)),
        "classes": lambda: infer(files(FILE), outputs=wanted("scores", class_count=2)),
        "timeout": lambda: infer(files(FILE), timeout=1),
        "no key": lambda: infer(files(FILE), headers={}),
        "no model": lambda: infer(files(FILE), model="wolf"),
        "no class": lambda: infer(files(FILE), parameters={"target": "wolf"}),
        "no image": lambda: infer(files(FILE, b"no image")),
        "too large": lambda: infer(pixels(np.zeros((1, 2000, 2000, 3), np.uint8))),
    }
    if KIND == "http":
        found |= {
            coding: partial(
                infer,
                files(FILE),
                request_compression_algorithm=coding,
                response_compression_algorithm=coding,
            )
            for coding in ("gzip", "deflate")
        }
        found["json pixels"] = lambda: infer(
            pixels(np.zeros((1, 4, 4, 3), np.uint8), binary_data=False)
        )
    if KIND == "grpc":
        found["compressed"] = lambda: infer(files(FILE), compression_algorithm="gzip")
        found["late"] = lambda: infer(files(FILE), client_timeout=1e-5)
    return found


async def outcome_of(name: str, call: Callable[[], Any]) -> dict[str, Any]:
    try:
        value = call()
        if inspect.isawaitable(value):
            value = await value
        if hasattr(value, "as_numpy"):
            return {"value": outputs_of(value)}
        return {"value": plain(value)}
    except InferenceServerException as error:
        return {"error": error.message() or str(error), "status": error.status()}


async def main() -> None:
    client = triton.InferenceServerClient(ADDRESS)
    sys.stdout.write(
        json.dumps({name: await outcome_of(name, call) for name, call in calls(client).items()})
    )
    closed = client.close()
    if inspect.isawaitable(closed):
        await closed


asyncio.run(main())
