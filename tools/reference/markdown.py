"""Markdown tables, and values of Python and of JSON schemas as words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in GitHub-flavoured Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(text) for text in line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def code(value: object) -> str:
    """A value in the type of code, as a request, a form or a variable writes it."""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def codes(values: Iterable[object], empty: str = "none") -> str:
    """Several values, comma-separated."""
    return ", ".join(code(value) for value in values) or empty


def number(value: float) -> str:
    """A number as people write it: 1e-06 stays, 30.0 is 30."""
    return str(value) if isinstance(value, int) else f"{value:g}"


def values_of(schema: dict[str, Any]) -> str:
    """The values that a JSON schema allows, in words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    if "enum" in schema:
        return codes(schema["enum"])
    if "const" in schema:
        return code(schema["const"])
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " or ".join(values_of(part) for part in schema[key])
    kind = schema.get("type", "any")
    if kind == "array":
        return _array(schema)
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {values_of(schema['additionalProperties'])}"
    return f"{kind}{_bounds(schema)}"


def _array(schema: dict[str, Any]) -> str:
    if "prefixItems" in schema:
        items = [values_of(item) for item in schema["prefixItems"]]
        return f"list of {len(items)}: {items[0]}"
    return f"list of {values_of(schema.get('items', {}))}"


def _bounds(schema: dict[str, Any]) -> str:
    if "exclusiveMinimum" in schema:
        return f" above {number(schema['exclusiveMinimum'])}"
    if "minimum" not in schema:
        return ""
    low = number(schema["minimum"])
    return f", {low} to {number(schema['maximum'])}" if "maximum" in schema else f", at least {low}"
