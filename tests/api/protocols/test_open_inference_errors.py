"""Errors of the Open Inference Protocol say what to do, in its own body."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from service.api.inference import Computed
from service.api.protocols.open_inference.http_messages import LENGTH_HEADER
from service.api.protocols.open_inference.infer import all_of
from service.errors import QueueFull
from service.settings import DEFAULT_MODEL, Settings
from tests.api.in_process import Connection, FakeEngine, connect
from tests.api.protocols.open_inference_requests import (
    INFER,
    elements,
    error_of,
    files,
    infer,
    pixels,
    request_of,
    send,
)

BLACK = np.zeros((1, 4, 4, 3), np.uint8)


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    with connect(Settings(max_images=3), FakeEngine()) as made:
        yield made


def changed(**fields: Any) -> dict[str, Any]:
    return pixels(BLACK) | fields


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (changed(name="input"), ["one tensor `image`", "input"]),
        (changed(datatype="FP32"), ["UINT8", "FP32"]),
        (changed(shape=[3, 4, 4]), ["[N, H, W, 3]", "[3, 4, 4]"]),
        (changed(shape=[1, 4, 4, 4]), ["[N, H, W, 3]"]),
        (changed(shape=[0, 4, 4, 3]), ["[N, H, W, 3]"]),
        (changed(shape=[1, 4, 5, 3]), ["48 elements", "60"]),
        (changed(shape="x"), ["`shape`", "list of whole numbers"]),
        (changed(shape=[-1, 4, 4, 3]), ["`shape`"]),
        (changed(data=[256] * 48), ["0 to 255"]),
        (changed(data=[0.5] * 48), ["0 to 255"]),
        (changed(data=["a"] * 48), ["0 to 255"]),
        (changed(data=[[[[1, 2], [3, 4, 5]]]]), ["nested as its shape"]),
        (changed(data="AAAA"), ["must be a list"]),
        (changed(data=None), ["must be a list"]),
        (files(b"x") | {"shape": [2]}, ["1 elements", "says 2"]),
        (files(b"x") | {"shape": [1, 2]}, ["[N]"]),
        (files(b"x") | {"data": ["!"]}, ["base64"]),
        (files(b"x") | {"data": [5]}, ["base64"]),
        (files(b"no image"), ["not a"]),
    ],
)
def test_wrong_tensors(connection: Connection, tensor: dict[str, Any], words: list[str]) -> None:
    answer = infer(connection, tensor, ["scores"])
    error_of(answer, 400, *words)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", ["not valid JSON"]),
        (b"[]", ["must be a JSON object"]),
        (b"{", ["not valid JSON", LENGTH_HEADER]),
        (b'{"inputs": 3}', ["`inputs` must be a list"]),
        (b'{"inputs": [3]}', ["each of `inputs` must be a JSON object"]),
        (b'{"inputs": []}', ["one tensor `image`", "none"]),
        (b'{"id": 7, "inputs": []}', ["`id` must be a string"]),
        (b'{"inputs": [], "parameters": []}', ["`parameters` must be an object"]),
    ],
)
def test_wrong_bodies(connection: Connection, body: bytes, words: list[str]) -> None:
    error_of(connection.request("POST", INFER, content=body), 400, *words)


@pytest.mark.parametrize("value", ["x", "-1", "9999", "1e3", "٣"])
def test_wrong_lengths(connection: Connection, value: str) -> None:
    headers = [(LENGTH_HEADER.encode(), value.encode())]
    answer = connection.request("POST", INFER, content=b"{}", headers=headers)
    error_of(answer, 400, LENGTH_HEADER)


@pytest.mark.parametrize(
    ("size", "tail", "words"),
    [
        (5, elements(b"x") + b"more", "stand behind"),
        (9, elements(b"x"), "stand behind"),
        (5, b"\xff\xff\xff\xffx", "within an element"),
        (2, b"\x01\x00", "within an element"),
        (-1, b"", "number of bytes"),
        ("5", elements(b"x"), "number of bytes"),
    ],
)
def test_wrong_binary_tensors(connection: Connection, size: Any, tail: bytes, words: str) -> None:
    tensor: dict[str, Any] = {"name": "image", "datatype": "BYTES", "shape": [1]}
    tensor |= {"parameters": {"binary_data_size": size}}
    error_of(send(connection, request_of(tensor), tail), 400, words)


@pytest.mark.parametrize(
    ("outputs", "parameters", "words"),
    [
        (["score"], {}, ["no 'score'", "scores, logits"]),
        (["scores", "scores"], {}, ["more than once"]),
        ([{"name": "heatmap", "parameters": {"classification": 3}}], {}, ["goes with scores"]),
        (["heatmap"], {"layer": "classifier"}, ["no rows and columns"]),
        (["heatmap"], {"color_bar": True}, ["color_bar", "heatmap_png"]),
        (["heatmap"], {"size": 2048}, ["size", "heatmap_png"]),
        (["heatmap"], {"target": "wolf"}, ["target", "cat"]),
        (["scores"], {"target": "wolf"}, ["target", "cat"]),
        (["scores"], {"tagret": "cat"}, ["tagret: there is no such option"]),
        (["scores"], {"output": "heatmap"}, ["output", "`outputs`"]),
        (["scores"], {"model": "x"}, ["model", "leave it out"]),
        (["relevance"], {"layers": "all"}, ["layers", "give `layer`"]),
        (["relevance"], {"targets": "cat,dog"}, ["targets", "as JSON"]),
        (["scores"], {"timeout": -5}, ["timeout", "microseconds"]),
    ],
)
def test_wrong_options(
    connection: Connection, photo: bytes, outputs: Any, parameters: Any, words: list[str]
) -> None:
    error_of(infer(connection, files(photo), outputs, **parameters), 422, *words)


def test_an_unknown_option_names_those_of_this_wire(connection: Connection, photo: bytes) -> None:
    error = error_of(infer(connection, files(photo), tagret="cat"), 422)
    allowed = error.rpartition("there are: ")[2].split(", ")
    assert {"target", "layer"} <= set(allowed)
    assert not {"image", "model", "output", "relevance_format", "layers"} & set(allowed)


def test_options_do_not_stand_in_the_query(connection: Connection, photo: bytes) -> None:
    path, fields = f"{INFER}?target=cat", request_of(files(photo), ["scores"])
    error_of(send(connection, fields, path=path), 422, "target: stands in the query")
    assert send(connection, fields, path=f"{INFER}?of=another").status_code == 200


@pytest.mark.parametrize("place", ["request", "output"])
@pytest.mark.parametrize("value", ["x", "true", 1])
def test_flags_are_true_or_false(
    connection: Connection, photo: bytes, place: str, value: Any
) -> None:
    name = {"request": "binary_data_output", "output": "binary_data"}[place]
    outputs = [{"name": "scores", "parameters": {name: value}}] if place == "output" else ["scores"]
    parameters = {name: value} if place == "request" else {}
    answer = infer(connection, files(photo), outputs, **parameters)
    error_of(answer, 400, f"`{name}` must be true or false")


@pytest.mark.parametrize("place", ["input", "output"])
def test_shared_memory_is_refused(connection: Connection, photo: bytes, place: str) -> None:
    region = {"parameters": {"shared_memory_region": "r", "shared_memory_byte_size": 4}}
    tensor = files(photo) | (region if place == "input" else {})
    output = {"name": "scores", **(region if place == "output" else {})}
    error_of(infer(connection, tensor, [output]), 400, "shared memory is not supported")


def test_too_many_images(connection: Connection, photo: bytes) -> None:
    error_of(infer(connection, files(*[photo] * 4), ["scores"]), 413, "more than 3 images")


def test_too_many_values(connection: Connection) -> None:
    wide = pixels(np.zeros((1, 600, 600, 3), np.uint8))
    error_of(infer(connection, wide, ["scores"]), 413, "binary form")


def test_too_much_relevance_as_text(connection: Connection, photo: bytes) -> None:
    in_json = [{"name": "heatmap"}]
    fields = {"size": 600}
    error_of(infer(connection, files(photo, photo, photo), in_json, **fields), 422, "binary form")
    binary = [{"name": "heatmap", "parameters": {"binary_data": True}}]
    assert infer(connection, files(photo, photo, photo), binary, **fields).status_code == 200


def test_one_bad_image_fails_the_request_and_is_named(connection: Connection, photo: bytes) -> None:
    error_of(infer(connection, files(photo, b"no", photo), ["scores"]), 400, "image 1 of 3: ")


@pytest.mark.parametrize("path", ["", "/infer", "/ready", "/config", "/stats"])
def test_unknown_models_and_versions(connection: Connection, path: str) -> None:
    method = "POST" if path == "/infer" else "GET"
    answer = connection.request(method, f"/v2/models/wolf{path}")
    error_of(answer, 404, "no model 'wolf'", DEFAULT_MODEL)
    answer = connection.request(method, f"/v2/models/{DEFAULT_MODEL}/versions/2{path}")
    error_of(answer, 404, "no version '2'")


def test_there_is_no_explain_in_the_protocol(connection: Connection) -> None:
    error_of(connection.request("POST", f"/v2/models/{DEFAULT_MODEL}/explain"), 404, "no path")


def test_a_passed_timeout_is_the_deadline(connection: Connection, photo: bytes) -> None:
    error_of(infer(connection, files(photo), timeout=1), 504, "no result within 0.000001 s")


def test_an_error_that_others_have_too_is_not_changed() -> None:
    shared = QueueFull("full", {"Retry-After": "3"})

    async def fail() -> Computed:
        raise shared

    with pytest.raises(QueueFull) as caught:
        asyncio.run(all_of([fail(), fail()]))
    assert (caught.value.detail, shared.detail) == ("image 0 of 2: full", "full")
    assert caught.value.headers == {"Retry-After": "3"}
