"""The strict JSON reader: the standard library's values, and nothing that it lets pass."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.strict_json import RepeatedNames, loads

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner)
)


@given(values.filter(lambda value: "Infinity" not in json.dumps(value)))
def test_values_are_those_of_the_standard_library(value: Any) -> None:
    assert loads(json.dumps(value)) == value
    assert loads(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("text", "names", "entry"),
    [
        ('{"a": 1, "a": 1}', ("a",), None),
        ('{"a": 1, "b": 2, "b": 3, "a": 4, "c": 5}', ("a", "b"), None),
        ('{"x": {}, "y": [1, {"b": 1, "b": 2}]}', ("b",), "y"),
        ('{"y": {"z": [[{"b": 1, "b": 2}]]}}', ("b",), "y"),
        ('[{"b": 1, "b": 2}]', ("b",), None),
        ('{"y": {"b": 1, "b": 2}, "y": 3}', ("y",), None),  # the outermost is told of first
        ('{"a": 1, "\\u0061": 2}', ("a",), None),
    ],
)
def test_repeated_names_are_refused(text: str, names: tuple[str, ...], entry: str | None) -> None:
    with pytest.raises(RepeatedNames, match=f"the name '{names[0]}' more than once") as caught:
        loads(text)
    assert (caught.value.names, caught.value.entry) == (names, entry)


@pytest.mark.parametrize("depth", [10, 900])
def test_the_entry_is_found_at_any_depth(depth: int) -> None:
    inner = "[" * depth + '{"b": 1, "b": 2}' + "]" * depth
    with pytest.raises(RepeatedNames) as caught:
        loads(f'{{"x": 1, "deep": {inner}}}')
    assert caught.value.entry == "deep"


@pytest.mark.parametrize("name", ["NaN", "Infinity", "-Infinity"])
def test_constants_that_are_not_json_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is not JSON"):
        loads(f'{{"a": [{name}]}}')


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 50_000])
def test_json_that_is_nested_too_deeply_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        loads(text)


@pytest.mark.parametrize("text", ["", "{", "{'a': 1}", b"\xff", "9" * 5000, "1 2"])
def test_text_that_is_not_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        loads(text)
