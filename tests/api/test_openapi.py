from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from service.api.options import ExplainOptions, PredictOptions
from service.api.problems import MEDIA_TYPE
from tests.api.sending import send, text_of

OPERATIONS: dict[str, type[PredictOptions]] = {
    "/predict": PredictOptions,
    "/explain": ExplainOptions,
}
PATHS = {"/predict", "/explain", "/models", "/models/{name}", "/healthz", "/readyz"}
FORMS = ("multipart/form-data", "application/json")
CASES = [(path, option) for path, kind in OPERATIONS.items() for option in kind.model_fields]
METHODS = {"get", "post", "put", "delete", "patch", "options", "head", "trace"}


@pytest.fixture(scope="module")
def document(server: Any) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{server.url}/openapi.json").json()
    return found


def operation(document: dict[str, Any], path: str) -> dict[str, Any]:
    found: dict[str, Any] = document["paths"][path]["post"]
    return found


def body_schema(document: dict[str, Any], path: str, media_type: str) -> dict[str, Any]:
    content = operation(document, path)["requestBody"]["content"]
    found: dict[str, Any] = content[media_type]["schema"]
    return found


def walk(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from walk(value)


def operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for item in document["paths"].values():
        yield from (value for name, value in item.items() if name in METHODS)


# --- the document


def test_it_describes_every_path(document: dict[str, Any]) -> None:
    assert set(document["paths"]) >= PATHS
    assert document["info"]["title"] == "lrpserve"
    assert re.match(r"3\.1\.\d", document["openapi"])


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for node in walk(document):
        if isinstance(node.get("$ref"), str):
            target: Any = document
            for name in node["$ref"].removeprefix("#/").split("/"):
                target = target[name]


def test_operations_are_named_once_and_explained(document: dict[str, Any]) -> None:
    found = list(operations(document))
    names = [each["operationId"] for each in found]

    assert len(set(names)) == len(names)
    for each in found:
        assert each["summary"]
        assert each["description"]
        assert "200" in each["responses"]
        assert all(response["description"] for response in each["responses"].values())
        places = [(parameter["in"], parameter["name"]) for parameter in each.get("parameters", [])]
        assert len(set(places)) == len(places)


def test_every_answer_has_a_schema(document: dict[str, Any]) -> None:
    for each in operations(document):
        for response in each["responses"].values():
            assert response["content"]
            for content in response["content"].values():
                assert content.get("schema")


def test_problems_have_their_own_media_type(document: dict[str, Any]) -> None:
    for path in OPERATIONS:
        responses = operation(document, path)["responses"]
        problems = {status: each for status, each in responses.items() if status != "200"}
        assert set(problems) == {"400", "406", "413", "415", "422", "429", "503", "504"}
        for problem in problems.values():
            assert list(problem["content"]) == [MEDIA_TYPE]
            fields = problem["content"][MEDIA_TYPE]["schema"]["properties"]
            assert set(fields) == {"type", "title", "status", "detail", "request_id", "errors"}


def test_explain_answers_in_three_formats(document: dict[str, Any]) -> None:
    answer = operation(document, "/explain")["responses"]["200"]

    assert set(answer["content"]) == {"application/json", "image/png", "application/x-npy"}
    assert answer["headers"]["X-Explanation"]["description"]


# --- the options


@pytest.mark.parametrize(("path", "option"), CASES)
def test_every_option_is_described_in_each_form(
    document: dict[str, Any], path: str, option: str
) -> None:
    described = [body_schema(document, path, form)["properties"][option] for form in FORMS]
    described += [
        parameter | parameter["schema"]
        for parameter in operation(document, path)["parameters"]
        if (parameter["in"], parameter["name"]) == ("query", option)
    ]

    assert len(described) == 3
    for each in described:
        assert len(each["description"]) > 10
        assert {"type", "anyOf", "enum"} & set(each)
        shown = {"default", "enum", "examples", "example"} & set(each)
        assert shown or re.search("default: |example: ", each["description"])


@pytest.mark.parametrize("path", OPERATIONS)
def test_there_are_no_other_options(document: dict[str, Any], path: str) -> None:
    options = set(OPERATIONS[path].model_fields)

    assert {parameter["name"] for parameter in operation(document, path)["parameters"]} == options
    for form in FORMS:
        schema = body_schema(document, path, form)
        assert set(schema["properties"]) == {"image"} | options
        assert schema["required"] == ["image"]
        assert schema["additionalProperties"] is False


@pytest.mark.parametrize("path", OPERATIONS)
def test_an_image_alone_is_a_body_too(document: dict[str, Any], path: str) -> None:
    for media_type in ("image/*", "application/octet-stream"):
        assert body_schema(document, path, media_type)["format"] == "binary"


@pytest.mark.parametrize(("path", "option"), CASES)
def test_what_the_schema_shows_is_taken(
    client: httpx.Client, photo: bytes, document: dict[str, Any], path: str, option: str
) -> None:
    schema = body_schema(document, path, "application/json")["properties"][option]
    shown = [*schema.get("enum", []), *schema.get("examples", [])]
    shown += [schema[name] for name in ("default", "minimum", "maximum") if name in schema]

    assert shown
    for value in shown:
        assert send(client, photo, {option: value}, path=path).status_code == 200, text_of(value)


@pytest.mark.parametrize("path", OPERATIONS)
def test_the_example_works(client: httpx.Client, document: dict[str, Any], path: str) -> None:
    example = operation(document, path)["requestBody"]["content"]["application/json"]["example"]

    answer = client.post(path, json=example)

    assert base64.b64decode(example["image"], validate=True)
    assert answer.status_code == 200
    assert len(example) > 1
