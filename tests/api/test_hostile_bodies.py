"""Hostile bodies: whatever is repeated, nested or long, the response is small and soon there."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.api.request.options import ExplainOptions
from service.settings import Settings
from tests.api.in_process import Connection, FakeEngine, connect
from tests.api.sending import JSON_TYPE, multipart, part
from tests.conftest import SAMPLES

PHOTO = Path(SAMPLES / "cat" / "0000.jpg").read_bytes()
BASE64 = base64.b64encode(PHOTO).decode()
LARGEST_ERROR = 1 << 16  # bytes
bounded, few = settings(max_examples=50), settings(max_examples=20)

options = st.sampled_from([*ExplainOptions.model_fields, "image", "_charset_", "x"])
# what is repeated in a body; lone surrogates are escapes of JSON
atoms = st.sampled_from(
    [
        *("[", "]", "{}", '{"a":', '"a",', '"', "\\", "\\u0041", "\\ud800", "9", "1e9,", "-", " "),
        *(",", "a", "*", "?", "%2b", "\u4e2d", "\0", "\x1b", "\x85", ".", "NaN,", "null,", "true,"),
    ]
)
texts = st.text(max_size=6) | atoms
counts = st.sampled_from([1, 2, 21, 1000, 20_000])
runs = st.builds(lambda atom, n: atom * n, atoms, counts)
charsets = st.sampled_from(["", "utf-8", "punycode", "undefined", "utf-16", "base64", "zlib"])


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    with connect(Settings(max_body_bytes=1_000_000), FakeEngine()) as made:
        yield made


@pytest.fixture(scope="module")
def usual_s(connection: Connection) -> float:
    """CPU time of a large request that is right but for its image."""
    body = json.dumps({"image": "QUJD" * 200_000}).encode()
    return max(spent_s(connection, content=body, headers=JSON_TYPE)[1] for _ in range(5))


def spent_s(connection: Connection, **content: Any) -> tuple[httpx.Response, float]:
    began = time.process_time()
    response = connection.request("POST", "/explain", **content)
    return response, time.process_time() - began


def check(connection: Connection, usual_s: float, **content: Any) -> None:
    response, took_s = spent_s(connection, **content)

    assert response.status_code < 500, response.text[:500]
    if response.status_code != 200:
        assert len(response.content) < LARGEST_ERROR
        problem = response.json()
        assert len(problem.get("errors", [])) <= 20
        problem["detail"].encode()  # no lone surrogate
        assert took_s < 100 * usual_s


@bounded
@given(options, runs, st.booleans(), runs)
def test_long_and_deep_values_in_json(
    connection: Connection, usual_s: float, name: str, run: str, is_text: bool, end: str
) -> None:
    value = f'"{run}"' if is_text else run
    body = f'{{"image": "{BASE64}", "size": 16, "{name}": {value}{end[:3]}}}'

    check(connection, usual_s, content=body.encode(), headers=JSON_TYPE)


@bounded
@given(texts, counts, st.sampled_from(["", "rules", "targets"]))
def test_many_names_in_json(
    connection: Connection, usual_s: float, name: str, n: int, place: str
) -> None:
    names: dict[str, Any] = {f"{name}{i}": i for i in range(n)}
    nested: dict[str, dict[str, Any]] = {
        "rules": {"composite": [{"layers": name, "rule": "flat", **names}]},
        "targets": {"targets": [names] * 3},
    }
    body = json.dumps({"image": BASE64, "size": 16, **nested.get(place, names)}).encode()

    check(connection, usual_s, content=body, headers=JSON_TYPE)


@bounded
@given(options | runs, runs, counts, charsets, charsets)
def test_forms_of_many_fields_and_charsets(
    connection: Connection, usual_s: float, name: str, value: str, n: int, of_all: str, of_one: str
) -> None:
    field = part(name[:3000].replace('"', ""), value.encode())
    field = field.replace(
        b"\r\n\r\n", f"\r\nContent-Type: a/b; charset={of_one}\r\n\r\n".encode(), 1
    )
    form = multipart([part("image", PHOTO, "cat.jpg"), *[field] * min(n, 1000)])
    form["headers"]["Content-Type"] += f"; charset={of_all}"

    check(connection, usual_s, **form)


@few
@given(texts, counts, runs)
def test_queries_of_many_and_long_options(
    connection: Connection, name: str, n: int, value: str
) -> None:
    options = [*((f"{name}{i}", 1) for i in range(n)), ("size", 16), ("layer", value)]
    query = urlencode(options)[:60_000]  # heads of requests are no longer
    headers = {"Content-Type": "image/jpeg"}

    response = connection.request("POST", f"/explain?{query}", content=PHOTO, headers=headers)

    assert response.status_code < 500
    assert len(response.content) < LARGEST_ERROR


@few
@given(runs, st.sampled_from(["/models/", "/", "/explain/"]), st.sampled_from(["GET", "POST", "X"]))
def test_paths_are_not_repeated_whole(
    connection: Connection, run: str, path: str, method: str
) -> None:
    response = connection.request(method, path + quote(run[:20_000], safe="")[:60_000])

    assert response.status_code < 500
    assert len(response.content) < 5_000 or response.status_code == 200
