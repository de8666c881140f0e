"""Calls a server with KServe's own client, protocol v1; prints what it returned or raised.

Runs in an environment of its own: URL, model, image file, API key and the server's process id.
"""

# ruff: noqa: T201
from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import sys
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from kserve import InferenceRESTClient
from kserve.inference_client import RESTConfig

TRIES = 600  # at 0.1 s


async def outcome_of(call: Awaitable[Any]) -> dict[str, Any]:
    """What a call returned or raised."""
    try:
        return {"value": await call}
    except Exception as error:  # noqa: BLE001  # what users would see
        return {"error": type(error).__name__, "text": str(error)}


async def main(url: str, model: str, image: bytes, key: str, pid: int) -> dict[str, Any]:
    """Make every call of the client."""
    client = InferenceRESTClient(RESTConfig(protocol="v1"))
    headers = {"Authorization": f"Bearer {key}"}
    good = {"b64": base64.b64encode(image).decode()}
    bad = {"b64": base64.b64encode(b"not an image").decode()}

    def infer(body: Any, name: str = model, **given: Any) -> Any:
        return client.infer(url, body, model_name=name, **({"headers": headers} | given))

    def explain(body: Any, name: str = model, **given: Any) -> Any:
        return client.explain(url, name, body, **({"headers": headers} | given))

    calls = {
        "live": client.is_server_live(url),
        "model ready": client.is_model_ready(url, model, headers=headers),
        "no model ready": client.is_model_ready(url, "nope", headers=headers),
        "infer": infer({"instances": [good]}),
        "infer some": infer({"instances": [good, bad, good["b64"]]}),
        "infer bad": infer({"instances": [bad]}),
        "infer no model": infer({"instances": [good]}, "nope"),
        "infer no key": infer({"instances": [good]}, headers={}),
        "infer no list": infer({"instances": 5}),
        "explain": explain({"instances": [good], "parameters": {"output": "relevance"}}),
        "explain each": explain({"instances": [good | {"target": 1}, good | {"target": 2}]}),
        "explain bad": explain({"instances": [good], "parameters": {"cmap": "x"}}),
    }
    outcomes = {name: await outcome_of(call) for name, call in calls.items()}
    os.kill(pid, signal.SIGTERM)  # it goes on serving for a while, and says that it is not ready
    for _ in range(TRIES):
        if not await client.is_model_ready(url, model, headers=headers):
            outcomes["not ready"] = await outcome_of(
                client.is_model_ready(url, model, headers=headers)
            )
            break
        await asyncio.sleep(0.1)
    return outcomes


if __name__ == "__main__":
    url, model, image, key, pid = sys.argv[1:]
    outcomes = asyncio.run(main(url, model, Path(image).read_bytes(), key, int(pid)))
    print(json.dumps(outcomes))
