"""Requests of KServe v1, and their results."""

from __future__ import annotations

import base64
from typing import Any

import httpx

from service.settings import DEFAULT_MODEL
from tests.api.in_process import Connection

PATH = f"/v1/models/{DEFAULT_MODEL}"


def encode(image: bytes) -> str:
    """An image in base64."""
    return base64.b64encode(image).decode()


def post(
    connection: Connection, instances: Any, /, verb: str = "predict", **fields: Any
) -> httpx.Response:
    """Send instances, and other fields of the body beside them."""
    return connection.request("POST", f"{PATH}:{verb}", json={"instances": instances, **fields})


def results(answer: httpx.Response, name: str = "predictions") -> list[dict[str, Any]]:
    """The list of results of a request that succeeded."""
    assert answer.status_code == 200, answer.text[:500]
    assert answer.headers["content-type"] == "application/json"
    found: list[dict[str, Any]] = answer.json()[name]
    return found


def error_of(answer: httpx.Response, status: int, *words: str) -> str:
    """Check that an answer is an error as KServe's client reads it, with these words."""
    assert answer.status_code == status, answer.text[:500]
    assert answer.headers["content-type"] == "application/json"
    error: str = answer.json()["error"]
    for word in words:
        assert word in error
    return error
