"""Arbitrary requests get a response or a problem, never a 500."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from service.api.request.options import ExplainOptions
from service.api.response.explanation import EXPLANATION_HEADER, MAX_HEADER
from service.api.response.result_schemas import ExplainResults
from service.api.response.schemas import ExplainResponse, TargetsResponse
from service.methods import RULES, TYPES
from service.settings import Settings
from tests.api.in_process import Connection, FakeEngine, connect
from tests.api.sending import FORMS, JSON_TYPE, problem_of
from tests.conftest import SAMPLES

PHOTO = Path(SAMPLES / "cat" / "0000.jpg").read_bytes()
bounded = settings(max_examples=100)

names = st.sampled_from([*ExplainOptions.model_fields, "image"]) | st.text(max_size=5)
NUMBER = r"-?[0-9]{1,6}(\.[0-9]+)?(e[0-9]{1,3})?"
texts = st.text(max_size=20) | st.from_regex(NUMBER, fullmatch=True)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
)
paths = st.sampled_from(["/explain", "/predict"])
media_ranges = st.sampled_from(["image/png", "*/*", "application/json", ";q=", "0.5", ",", "a/b"])
# what a server takes for the value of a header: no control characters, but any other byte
header_values = st.binary(max_size=60).map(
    lambda value: bytes(b for b in value if b > 31 and b != 127)
) | st.lists(media_ranges, max_size=5).map(lambda parts: "".join(parts).encode())
header_names = st.sampled_from(
    [
        *("Accept", "Content-Type", "X-Request-ID", "Content-Length", "Content-Encoding"),
        *("Transfer-Encoding", "If-None-Match", "X-API-Key", "Authorization", "Origin", "Cookie"),
    ]
)
content_types = st.sampled_from(
    [
        "image/png",
        "application/octet-stream",
        "application/json",
        "application/json; charset=utf-16",
        "multipart/form-data; boundary=edge",
        "multipart/form-data; boundary=edge; charset=rot13",
        "multipart/form-data",
        "application/x-www-form-urlencoded",
    ]
)


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    with connect(Settings(max_body_bytes=100_000), FakeEngine()) as made:
        yield made


def check(answer: httpx.Response) -> None:
    assert answer.status_code < 500, answer.text
    if answer.status_code != 200:
        problem_of(answer, answer.status_code)
    elif answer.headers["content-type"] == "application/json":
        kinds: dict[str, type[BaseModel]] = {
            "results": ExplainResults,
            "explanations": TargetsResponse,
        }
        kind = next((kinds[name] for name in kinds if name in answer.json()), ExplainResponse)
        kind.model_validate_json(answer.content)
    else:
        assert len(answer.headers[EXPLANATION_HEADER]) <= MAX_HEADER


@bounded
@given(st.binary(max_size=300), content_types)
def test_arbitrary_bodies(connection: Connection, body: bytes, content_type: str) -> None:
    headers = {"Content-Type": content_type}

    check(connection.request("POST", "/explain", content=body, headers=headers))


def body_of(image: bytes, form: str) -> dict[str, Any]:
    bodies: dict[str, dict[str, Any]] = {
        "multipart": {"files": {"image": image}, "data": {"top_k": "2"}},
        "raw": {"content": image, "headers": {"Content-Type": "image/png"}},
        "json": {"json": {"image": base64.b64encode(image).decode(), "top_k": 2}},
    }
    return bodies[form]


@bounded
@given(st.binary(max_size=300), st.sampled_from(FORMS), paths)
def test_arbitrary_bytes_as_the_image(
    connection: Connection, image: bytes, form: str, path: str
) -> None:
    check(connection.request("POST", path, **body_of(image, form)))


@bounded
@given(st.integers(0, len(PHOTO) - 1), st.binary(min_size=1, max_size=4), st.sampled_from(FORMS))
def test_images_with_arbitrary_damage(
    connection: Connection, place: int, damage: bytes, form: str
) -> None:
    image = PHOTO[:place] + damage + PHOTO[place + len(damage) :]

    check(connection.request("POST", "/explain", **body_of(image, form)))


@bounded
@given(st.text(max_size=50) | st.sampled_from(["data:", "data:;base64,", "http://a", "="]))
def test_arbitrary_text_as_the_image(connection: Connection, text: str) -> None:
    body = json.dumps({"image": text})

    check(connection.request("POST", "/explain", content=body, headers=JSON_TYPE))


@bounded
@given(st.dictionaries(names, values, max_size=4))
def test_arbitrary_options_in_json(connection: Connection, options: dict[str, Any]) -> None:
    body = json.dumps({"size": 16, "image": base64.b64encode(PHOTO).decode(), **options})

    check(connection.request("POST", "/explain", content=body, headers=JSON_TYPE))


rule_names = st.sampled_from(["layers", "rule", "gamma", "alpha", "zero_bias"])
rule_values = st.sampled_from([*RULES, *TYPES, 0.5, 1, True]) | values
rules = st.lists(st.dictionaries(rule_names, rule_values, max_size=4), max_size=3)
classes = st.lists(st.integers(-1, 11) | st.sampled_from(["cat", "3", "label:dog", ""]))


@bounded
@given(rules, classes, st.sampled_from(["application/json", "image/png", "*/*"]))
def test_arbitrary_rules_and_classes(
    connection: Connection, composite: list[Any], targets: list[Any], accept: str
) -> None:
    options = {"composite": composite} | ({"targets": targets} if targets else {})
    body = json.dumps({"size": 16, "image": base64.b64encode(PHOTO).decode(), **options})
    headers = {**JSON_TYPE, "Accept": accept}

    check(connection.request("POST", "/explain", content=body, headers=headers))


@bounded
@given(rules | values)
def test_arbitrary_rules_in_a_query(connection: Connection, composite: Any) -> None:
    params = {"size": "16", "composite": json.dumps(composite)}
    headers = {"Content-Type": "image/jpeg"}

    check(connection.request("POST", "/explain", content=PHOTO, params=params, headers=headers))


@bounded
@given(st.dictionaries(names, texts, max_size=4))
def test_arbitrary_options_in_the_query(connection: Connection, options: dict[str, str]) -> None:
    query = {"size": "16", **options}
    headers = {"Content-Type": "image/jpeg"}

    check(connection.request("POST", "/explain", content=PHOTO, params=query, headers=headers))


@bounded
@example({"image": "no image"})  # with the file, two images
@given(st.dictionaries(names.filter(bool), texts, max_size=4))
def test_arbitrary_options_in_a_form(connection: Connection, options: dict[str, str]) -> None:
    form = {"size": "16", **options}

    check(connection.request("POST", "/explain", files={"image": PHOTO}, data=form))


@bounded
@given(st.binary(max_size=200), st.binary(max_size=30))
def test_arbitrary_parts_of_a_form(connection: Connection, head: bytes, content: bytes) -> None:
    body = b"--edge\r\n" + head + b"\r\n\r\n" + content + b"\r\n--edge--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=edge"}

    check(connection.request("POST", "/explain", content=body, headers=headers))


@bounded
@given(st.dictionaries(header_names, header_values, max_size=4))
def test_arbitrary_headers(connection: Connection, given: dict[str, bytes]) -> None:
    headers = {"Accept": b"*/*", "Content-Type": b"image/jpeg", **given}

    answer = connection.request("POST", "/explain?size=16", content=PHOTO, headers=headers)

    check(answer)
    answer.headers["x-request-id"].encode("ascii")


@bounded
@given(st.lists(header_values, min_size=1, max_size=3), header_names)
def test_a_header_several_times(connection: Connection, given: list[bytes], name: str) -> None:
    headers = [(name.encode(), value) for value in given]

    check(connection.request("POST", "/explain?size=16", content=PHOTO, headers=headers))


@bounded
@given(st.binary(max_size=60))
def test_arbitrary_queries(connection: Connection, query: bytes) -> None:
    url = "/explain?" + quote(query, safe="&=;+")
    headers = {"Content-Type": "image/jpeg"}

    check(connection.request("POST", url, content=PHOTO, headers=headers))


@bounded
@given(st.text(max_size=20))
def test_arbitrary_paths(connection: Connection, name: str) -> None:
    answer = connection.request("GET", "/models/" + quote(name, safe=""))

    assert answer.status_code < 500
