"""Whatever is sent: an answer or a problem, never a failure of the service."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.api.answers import EXPLANATION_HEADER, MAX_HEADER
from service.api.options import ExplainOptions
from service.api.schemas import ExplainAnswer, Problem, TargetsAnswer
from service.methods import RULES, TYPES
from service.settings import Settings
from tests.api.in_process import Connection, FakeEngine, connect
from tests.api.sending import JSON_TYPE
from tests.conftest import SAMPLES

PHOTO = Path(SAMPLES / "cat" / "0000.jpg").read_bytes()
bounded = settings(deadline=None, max_examples=100)

names = st.sampled_from([*ExplainOptions.model_fields, "image"]) | st.text(max_size=5)
NUMBER = r"-?[0-9]{1,6}(\.[0-9]+)?(e[0-9]{1,3})?"
texts = st.text(max_size=20) | st.from_regex(NUMBER, fullmatch=True)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
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
        Problem.model_validate_json(answer.content)
    elif answer.headers["content-type"] == "application/json":
        kind = TargetsAnswer if "explanations" in answer.json() else ExplainAnswer
        kind.model_validate_json(answer.content)
    else:
        assert len(answer.headers[EXPLANATION_HEADER]) <= MAX_HEADER


@bounded
@given(st.binary(max_size=300), content_types)
def test_arbitrary_bodies(connection: Connection, body: bytes, content_type: str) -> None:
    headers = {"Content-Type": content_type}

    check(connection.request("POST", "/explain", content=body, headers=headers))


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
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60))
def test_arbitrary_accept(connection: Connection, accept: str) -> None:
    headers = {"Accept": accept, "Content-Type": "image/jpeg"}

    check(connection.request("POST", "/explain?size=16", content=PHOTO, headers=headers))


@bounded
@given(st.text(max_size=20))
def test_arbitrary_paths(connection: Connection, name: str) -> None:
    answer = connection.request("GET", "/models/" + quote(name, safe=""))

    assert answer.status_code < 500
