"""Send requests in each of the three forms, and check what comes back."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from service.api.response.problems import MEDIA_TYPE, TYPE_PREFIX
from service.api.response.schemas import Problem
from service.methods import ATTRIBUTORS, COMPOSITES

# options that are longer to compute than a test needs
QUICK = {"n_samples": 2, "n_steps": 2}
FORMS = ("multipart", "raw", "json")
JSON_TYPE = {"Content-Type": "application/json"}


def send(
    client: httpx.Client,
    image: bytes,
    options: Mapping[str, Any] | None = None,
    *,
    form: str = "raw",
    path: str = "/explain",
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    """Send an image and options; only JSON keeps the types of the options."""
    as_json = {"image": base64.b64encode(image).decode(), **(options or {})}
    as_text = {name: text_of(value) for name, value in (options or {}).items()}
    own = {"Content-Type": "application/octet-stream"} if form == "raw" else {}
    bodies: dict[str, dict[str, Any]] = {
        "multipart": {"files": {"image": ("cat.jpg", image)}, "data": as_text},
        "raw": {"content": image, "params": as_text or None},
        "json": {"json": as_json},
    }
    return client.post(path, **bodies[form], headers={**own, **(headers or {})})


def beside(option: str) -> dict[str, Any]:
    """What has to be given beside a parameter: a composite or an attributor that has it."""
    for composite in COMPOSITES.values():
        if option in [parameter.name for parameter in composite.parameters]:
            return {"composite": composite.name}
    for attributor in ATTRIBUTORS.values():
        names = [parameter.name for parameter in attributor.parameters]
        if option in names:
            quick = {name: QUICK[name] for name in names if name in QUICK and name != option}
            return {"attributor": attributor.name, **quick}
    return {}


def text_of(value: Any) -> str:
    """A value as a form or a query has it."""
    return value if isinstance(value, str) else json.dumps(value)


def post_json(client: httpx.Client, body: str | bytes, path: str = "/explain") -> httpx.Response:
    """Send text as the body, whether it is JSON or not."""
    return client.post(path, content=body, headers=JSON_TYPE)


def multipart(parts: Sequence[bytes], boundary: str = "edge") -> dict[str, Any]:
    """A body of ready-made parts, for what no proper client would send."""
    edge = b"--" + boundary.encode()
    body = b"".join(edge + b"\r\n" + part + b"\r\n" for part in parts) + edge + b"--\r\n"
    return {
        "content": body,
        "headers": {"Content-Type": f"multipart/form-data; boundary={boundary}"},
    }


def part(name: str, content: bytes, filename: str | None = None) -> bytes:
    """One part of such a body."""
    suffix = f'; filename="{filename}"' if filename else ""
    head = f'Content-Disposition: form-data; name="{name}"{suffix}\r\n\r\n'
    return head.encode() + content


def problem_of(response: httpx.Response, status: int, *words: str) -> Problem:
    """Check that an answer is a problem with that status, whose detail has these words."""
    assert response.status_code == status, response.text[:500]
    assert response.headers["content-type"] == MEDIA_TYPE
    problem = Problem.model_validate_json(response.content)
    assert problem.status == status
    assert problem.type.startswith(TYPE_PREFIX)
    assert problem.request_id == response.headers["x-request-id"]
    assert "total;dur=" in response.headers["server-timing"]
    assert problem.title
    for word in words:
        assert word in problem.detail
    return problem


def wrong_options(response: httpx.Response) -> dict[str, str]:
    """Check that an answer is a 422; returns what is said of each option."""
    problem = problem_of(response, 422)
    assert problem.type == TYPE_PREFIX + "invalid-option"
    assert problem.errors
    for error in problem.errors:
        assert f"{error.option}: {error.detail}" in problem.detail
    return {error.option: error.detail for error in problem.errors}
