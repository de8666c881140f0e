"""Fields of options: kinds of values that are checked and described."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainValidator, WithJsonSchema

from service import strict_json
from service.api.request.methods import Rule
from service.api.request.parameters import not_a_switch
from service.errors import OptionError
from service.methods import (
    ATTRIBUTORS,
    COMPOSITES,
    DEFAULT_COMPOSITE,
    PLAIN,
    RULES,
    TYPES,
    Parameter,
    Rules,
    parse_rules,
)
from service.methods.rules import MAX_ASSIGNMENTS

Output = Literal["heatmap", "overlay", "relevance"]
OUTPUTS: tuple[Output, ...] = ("heatmap", "overlay", "relevance")
MAX_TARGETS = 10
_MAX_TEXT = 200_000  # of JSON in a form: enough for all rules, parsed in milliseconds

EXAMPLE_RULES = [
    {"layers": "first:convolution", "rule": "flat"},
    {"layers": "type:convolution", "rule": "gamma", "gamma": 0.5},
    {"layers": "type:dense", "rule": "epsilon", "epsilon": 0.001},
    {"layers": "type:activation", "rule": "pass"},
]


def _as_class(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


def _split_outputs(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("must be a string of comma-separated names")
    names = [name.strip() for name in value.split(",")]
    wrong = [name for name in names if name not in OUTPUTS]
    if wrong:
        raise ValueError(f"must be comma-separated out of: {', '.join(OUTPUTS)}")
    return tuple(dict.fromkeys(names))


def _check_list(value: Any) -> Any:
    if not isinstance(value, list):
        raise ValueError(f"must be a list of 1 to {MAX_TARGETS} classes; only in JSON")
    if not 1 <= len(value) <= MAX_TARGETS:
        raise ValueError(f"must be a list of 1 to {MAX_TARGETS} classes, not of {len(value)}")
    return value


def _read_composite(value: Any) -> str | Rules | None:
    """Pass a name on, and parse a list of rules; in forms and queries a list is JSON in a text."""
    if isinstance(value, str) and not value.lstrip().startswith("["):
        return value
    if value is None:
        return None
    try:
        return parse_rules(_load_json(value) if isinstance(value, str) else value)
    except OptionError as error:
        raise ValueError(error.problems[0].detail) from None


def _load_json(text: str) -> Any:
    if len(text) > _MAX_TEXT:
        raise ValueError(f"must have at most {_MAX_TEXT} characters")
    try:
        return strict_json.loads(text)
    except ValueError as error:
        raise ValueError(f"is not valid JSON: {error}") from None


ClassName = Annotated[str, BeforeValidator(_as_class, json_schema_input_type=str | int)]
ClassNames = Annotated[
    tuple[ClassName, ...],
    BeforeValidator(_check_list),
    WithJsonSchema(
        {
            "type": "array",
            "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            "minItems": 1,
            "maxItems": MAX_TARGETS,
            "uniqueItems": True,
        }
    ),
]
Count = Annotated[int, BeforeValidator(not_a_switch)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), BeforeValidator(not_a_switch)]
Outputs = Annotated[tuple[Output, ...], BeforeValidator(_split_outputs, json_schema_input_type=str)]

CompositeOrRules = Annotated[
    str | Rules | None,
    PlainValidator(
        _read_composite,
        json_schema_input_type=str
        | Annotated[list[Rule], Field(min_length=1, max_length=MAX_ASSIGNMENTS)],
    ),
]


def describe_composites() -> str:
    """What can be given as `composite`, in Markdown."""
    plain = ", ".join(f"`{name}`" for name, one in ATTRIBUTORS.items() if not one.is_modified)
    names = "\n".join(f"- `{name}`: {one.text}" for name, one in COMPOSITES.items())
    types = "\n".join(f"- `{name}`: {text}" for name, text in TYPES.items())
    rules = "\n".join(
        f"- `{name}`{_in_brackets(rule.parameters)}: {rule.text}" for name, rule in RULES.items()
    )
    return (
        "The rules: a name, or a list of rules of your own, in JSON. Names, besides those that a "
        f"model brings, which `/models` shows:\n\n{names}\n\n"
        "In a list the first entry whose `layers` match a layer, and whose `rule` can be given to "
        "it, gives its rule; a layer without one passes a plain gradient. `layers` is the name of "
        f"a layer, in which `*` and `?` may stand for others, or one of:\n\n{types}\n\n"
        f"`rule`, with its parameters beside it, is one of:\n\n{rules}\n\n"
        f"Default: `{DEFAULT_COMPOSITE}`, but `{PLAIN}` with {plain}"
    )


def _in_brackets(parameters: Iterable[Parameter]) -> str:
    names = ", ".join(parameter.name for parameter in parameters)
    return f" ({names})" if names else ""
