"""Requests made from the OpenAPI document, valid and invalid, get the documented responses."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks

from service.api.protocols.open_inference.http_messages import LENGTH_HEADER
from service.api.request.upload import IMAGE_FIELD, IMAGES_FIELD
from service.app import create_app
from service.settings import DEFAULT_MODEL, Settings
from tests.conftest import SAMPLES
from tests.helpers.servers import RunningServer

Operation = APIOperation[Any, Any, Any, Any]

CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.unsupported_method,
]
IMAGE = Path(SAMPLES / "cat" / "0000.jpg").read_bytes()
CHANGES = ("/load", "/reload", "/unload")  # the server has no keys: nobody may change its models
TENSOR = {
    "name": "image",
    "datatype": "BYTES",
    "shape": [1],
    "data": [base64.b64encode(IMAGE).decode()],
}
ACCEPTS = ["*/*", "application/json", "image/png", "application/x-npy"]
DOCUMENT = create_app(Settings()).openapi()


def operations() -> list[Operation]:
    found = schemathesis.openapi.from_dict(DOCUMENT).get_all_operations()
    return [one.ok() for one in found if isinstance(one, Ok)]


def label(operation: Operation) -> str:
    return str(operation.label)


def within(n_examples: int) -> settings:
    """The same examples each time, and as many as there is time for."""
    return settings(
        derandomize=True,
        max_examples=n_examples,
        suppress_health_check=list(HealthCheck),
    )


def make_real(case: Case[Any]) -> None:
    """Put in what random data never is: an image, and the name of a model."""
    case.body = with_image(case.body)
    case.query = {}  # beside a form or JSON no option may stand there
    case.headers.clear()
    if isinstance(case.body, bytes):
        case.headers[LENGTH_HEADER] = "0"
    case.path_parameters = {**case.path_parameters}
    for name in case.path_parameters.keys() & {"name", "model"}:
        case.path_parameters[name] = DEFAULT_MODEL


def with_image(body: Any) -> Any:
    if isinstance(body, bytes):
        return IMAGE
    if isinstance(body, dict) and "inputs" in body:
        return {"inputs": [TENSOR], "outputs": body.get("outputs", [])[:1]}
    if not isinstance(body, dict):
        return body
    real = {name: real_image(body[name]) for name in (IMAGE_FIELD, IMAGES_FIELD) if name in body}
    return body | real


def real_image(value: Any) -> Any:
    if isinstance(value, list):
        return [real_image(item) for item in value]
    return IMAGE if isinstance(value, bytes) else base64.b64encode(IMAGE).decode()


@pytest.mark.slow
@pytest.mark.parametrize("operation", operations(), ids=label)
def test_valid_requests_get_documented_responses(
    server: RunningServer, operation: Operation
) -> None:
    seen = set()

    @within(300 if operation.body else 10)
    @given(operation.as_strategy(GenerationMode.POSITIVE), st.sampled_from(ACCEPTS), st.booleans())
    def send(case: Case[Any], accept: str, is_real: bool) -> None:
        if is_real:
            make_real(case)
        answer = case.call(base_url=server.url, headers={"Accept": accept})
        seen.add(answer.status_code)
        case.validate_response(answer, checks=CHECKS)

    send()
    assert (403 if operation.path.endswith(CHANGES) else 200) in seen


@st.composite
def forbidden(draw: st.DrawFn, operation: Operation, media_type: str) -> Case[Any]:
    try:
        return draw(operation.as_strategy(GenerationMode.NEGATIVE, media_type=media_type))
    except ValueError as error:
        if "Unsupported type: 'Binary'" not in str(error):
            raise
        return reject()  # schemathesis cannot tell whether all that it has made is wrong


# a form's fields are texts, and one that is empty counts as left out: no schema says that
PRECISE = ("application/json", "application/octet-stream")


@pytest.mark.slow
@pytest.mark.parametrize("media_type", PRECISE)
@pytest.mark.parametrize("operation", [one for one in operations() if one.body], ids=label)
def test_invalid_requests_get_documented_problems(
    server: RunningServer, operation: Operation, media_type: str
) -> None:
    @within(200)
    @given(forbidden(operation, media_type))
    def send(case: Case[Any]) -> None:
        answer = case.call(base_url=server.url)
        case.validate_response(answer, checks=[*CHECKS, checks.negative_data_rejection])

    send()
