"""Bodies of KServe v1: the forms of an instance, options, and what is refused."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from service.api.protocols.instances import MAX_VALUES, Instance, parse_instance, parse_instances
from service.errors import BrokenRequest, OptionError, ServiceError, TooLarge

FILE = b"any bytes"
TEXT = base64.b64encode(FILE).decode()
PIXELS = [[[1, 2, 3], [4, 5, 6]]]  # one row of two pixels


def parse(instances: Any, /, **fields: Any) -> list[Instance | ServiceError]:
    return parse_instances(json.dumps({"instances": instances, **fields}).encode(), 8)


def options_of(instance: Instance | ServiceError) -> dict[str, Any]:
    assert isinstance(instance, Instance)
    return dict(instance.options)


@pytest.mark.parametrize(
    "value",
    [
        TEXT,
        f"data:image/png;base64,{TEXT}",
        *({name: TEXT} for name in ("b64", "data", "image", "image_bytes", "body")),
        {"image_bytes": {"b64": TEXT}},
        {"b64": TEXT, "data": None},
    ],
)
def test_an_instance_is_a_file(value: Any) -> None:
    (instance,) = parse([value])
    assert instance == Instance(FILE, {})


@pytest.mark.parametrize("value", [PIXELS, {"data": PIXELS}, [[[1.0, 2, 3], [4, 5, 6.0]]]])
def test_an_instance_is_pixels(value: Any) -> None:
    (instance,) = parse([value])
    assert isinstance(instance, Instance)
    assert isinstance(instance.image, np.ndarray)
    assert instance.image.dtype == np.uint8
    assert instance.image.tolist() == PIXELS


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (5, "must be a string"),
        (None, "must be a string"),
        ({}, "has no image"),
        ({"target": 1}, "has no image"),
        ({"b64": TEXT, "data": TEXT}, "has 2 images"),
        ({"data": 5}, "must be a string"),
        ("https://example.org/a.png", "fetches none"),
        ("!", "not valid base64"),
        ([], "or there are none"),
        ([[]], "the shape (1, 0)"),
        ([1, 2], "the shape (2,)"),
        ([[1, 2]], "the shape (1, 2)"),
        ([[[1, 2]]], "the shape (1, 1, 2)"),
        ([[[1, 2, 3]], [[1, 2, 3], [1, 2, 3]]], "several sizes"),
        ([[[1, 2, 3], [1, 2]]], "several sizes"),
        ([[[1, 2, {}]]], "other values"),
        ([[[1, 2, "x"]]], "other values"),
        ([[[1, 2, None]]], "other values"),
        ([[[1, 2, True]]], "other values"),
        ([[[1, 2, "3"]]], "other values"),
        ([[[1, 2, 256]]], "one of these is 256"),
        ([[[1, 2, -1]]], "one of these is -1"),
        ([[[1, 2, 0.5]]], "one of these is 0.5: send them before normalization"),
        ([[[1, 2, 10**400]]], "other values"),
        ([[["x" * 100_000, 1, 2]] * 100] * 100, "other values"),  # 16 GB as an array of texts
    ],
)
def test_what_is_wrong_with_an_instance_is_its_own_error(value: Any, words: str) -> None:
    first, error, last = parse([TEXT, value, TEXT])
    assert first == last == Instance(FILE, {})
    assert isinstance(error, BrokenRequest)
    assert words in error.detail


def test_options_stand_at_the_top_in_parameters_and_beside_an_image() -> None:
    instances = [TEXT, {"b64": TEXT, "cmap": "b"}, {"b64": TEXT, "parameters": {"size": 64}}]
    found = parse(instances, cmap="a", parameters={"target": 3}, signature_name="serving_default")
    assert [options_of(each) for each in found] == [
        {"cmap": "a", "target": 3},
        {"cmap": "b", "target": 3},
        {"cmap": "a", "target": 3, "size": 64},
    ]


def test_an_option_stands_in_one_place() -> None:
    with pytest.raises(OptionError, match="cmap: is given more than once"):
        parse([TEXT], cmap="a", parameters={"cmap": "b"})


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not valid JSON"),
        (b"\xff\xd8\xff", "a JPEG file; send it with `Content-Type: image/jpeg`"),
        (b"[]", "must be a JSON object"),
        (b"{}", "has no `instances`"),
        (b'{"instances": [], "inputs": []}', "both `instances` and `inputs`"),
        (b'{"instances": []}', "is empty"),
        (b'{"instances": "x"}', "must be a list"),
        (b'{"inputs": 5}', "`inputs` must be a list"),
        (b'{"instances": ["x"], "parameters": [1]}', "must be an object with options"),
        (b'{"instances": ["x"], "parameters": []}', "must be an object with options"),
        (b'{"instances": ["x"], "parameters": false}', "must be an object with options"),
        (b'{"specversion": "1.0", "data_base64": "!"}', "`data_base64` of the event: "),
        (b'{"specversion": "1.0", "data_base64": 5}', "`data_base64` of the event: "),
        (b'{"specversion": "1.0", "data_base64": "W10="}', "must be a JSON object"),
        (b'{"specversion": "1.0"}', "has no `instances`"),
        (b'{"instances": ' + b"[" * 5000 + b"]" * 5000 + b"}", "nested too deeply"),
    ],
)
def test_a_body_that_is_none_says_what_to_send(body: bytes, words: str) -> None:
    with pytest.raises(BrokenRequest) as raised:
        parse_instances(body, 8)
    assert words in raised.value.detail


def test_there_are_bounds_on_instances_and_values() -> None:
    assert len(parse([TEXT] * 8)) == 8
    with pytest.raises(TooLarge, match="more than 8 images"):
        parse([TEXT] * 9)
    with pytest.raises(TooLarge, match="more than 1 image;"):
        parse_instances(json.dumps({"instances": [TEXT] * 2}).encode(), 1)
    with pytest.raises(TooLarge, match=f"more than {MAX_VALUES:,} values"):
        parse_instances(b'{"instances": [[' + b"1," * MAX_VALUES + b"1]]}", 8)


def test_inputs_are_another_name_of_instances() -> None:
    assert parse_instances(json.dumps({"inputs": [TEXT]}).encode(), 8) == [Instance(FILE, {})]


def test_the_data_of_a_cloud_event_are_the_body() -> None:
    about = {"specversion": "1.0", "id": "1", "source": "here", "type": "request"}
    data = {"instances": [TEXT], "target": 3}
    in_base64 = base64.b64encode(json.dumps(data).encode()).decode()
    for fields in ({"data": data}, {"data_base64": in_base64}):
        event = json.dumps({**about, **fields}).encode()
        assert parse_instances(event, 8) == [Instance(FILE, {"target": 3})]


def test_the_data_of_a_cloud_event_are_an_image() -> None:
    event = {"specversion": "1.0", "datacontenttype": "image/PNG", "data_base64": TEXT}
    assert parse_instances(json.dumps(event).encode(), 8) == [Instance(FILE, {})]


def test_no_parameters_are_none() -> None:
    assert parse([TEXT], parameters=None) == [Instance(FILE, {})]


def test_a_body_may_be_one_instance() -> None:
    body = json.dumps({"data": TEXT, "target": 3}).encode()
    assert parse_instance(body, {"cmap": "a", "target": 1}) == Instance(
        FILE, {"cmap": "a", "target": 3}
    )
    with pytest.raises(BrokenRequest, match=r"no image; send one: ..data"):
        parse_instance(b"{}", {})
