"""Fields of options: kinds of values that are checked and described, and those of the registry."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, NoReturn

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainValidator,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from service.errors import OptionError
from service.methods import (
    ATTRIBUTORS,
    COMPOSITES,
    DEFAULT_COMPOSITE,
    PLAIN,
    RULES,
    TYPES,
    Kind,
    Parameter,
    Rules,
    Value,
    all_parameters,
    parse_rules,
)
from service.methods.rules import MAX_ASSIGNMENTS

Output = Literal["heatmap", "overlay", "relevance"]
OUTPUTS: tuple[Output, ...] = ("heatmap", "overlay", "relevance")
MAX_TARGETS = 10
_MAX_TEXT = 200_000  # of JSON in a form: enough for all rules, parsed in milliseconds
_PIXELS = 8  # an example for what is counted in pixels, small enough for any network
_KINDS: Mapping[Kind, tuple[type, str]] = {  # the types of Python and of JSON schema
    "number": (float, "number"),
    "integer": (int, "integer"),
    "switch": (bool, "boolean"),
    "choice": (str, "string"),
}

EXAMPLE_RULES = [
    {"layers": "first:convolution", "rule": "flat"},
    {"layers": "type:convolution", "rule": "gamma", "gamma": 0.5},
    {"layers": "type:dense", "rule": "epsilon", "epsilon": 0.001},
    {"layers": "type:activation", "rule": "pass"},
]


class OneOf:
    """Marks a string as a key of a registry; the schema shows an enumeration."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)

    def check(self, value: Any) -> str:
        """Pass a key on; raise ValueError for anything else."""
        if not isinstance(value, str) or value not in self.names:
            raise ValueError(f"must be one of: {', '.join(self.names)}")
        return value

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "enum": list(self.names)}


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


def _not_a_switch(value: Any) -> Any:
    if isinstance(value, bool):  # pydantic would take `true` for 1
        raise ValueError("must be a number, not true or false")
    return value


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
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not valid JSON: {error}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has a name twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


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
Count = Annotated[int, BeforeValidator(_not_a_switch)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), BeforeValidator(_not_a_switch)]
Outputs = Annotated[tuple[Output, ...], BeforeValidator(_split_outputs, json_schema_input_type=str)]

_RULE_SCHEMA = {
    "type": "object",
    "required": ["layers", "rule"],
    "properties": {
        "layers": {"type": "string", "minLength": 1, "maxLength": 200},
        "rule": {"type": "string", "enum": list(RULES)},
    },
    "additionalProperties": {"type": ["number", "boolean"]},
}
CompositeOrRules = Annotated[
    str | Rules | None,
    PlainValidator(_read_composite),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": MAX_ASSIGNMENTS,
                    "items": _RULE_SCHEMA,
                },
            ]
        }
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


def parameter_fields() -> dict[str, Any]:
    """A field for each parameter of the registry, None where it is left out."""
    return {name: _parameter_field(parameter) for name, parameter in all_parameters().items()}


def _parameter_field(parameter: Parameter) -> tuple[Any, Any]:
    def check(value: Value) -> Value:
        problem = parameter.problem(value)
        if problem:
            raise ValueError(problem)
        return value

    is_number = parameter.kind in ("number", "integer")
    before = [BeforeValidator(_not_a_switch)] if is_number else []
    checks = (*before, AfterValidator(check), WithJsonSchema(_parameter_schema(parameter)))
    kind = Annotated[(_KINDS[parameter.kind][0], *checks)]  # type: ignore[valid-type]
    example = _PIXELS if parameter.default is None else parameter.default
    return kind | None, Field(None, description=_describe(parameter), examples=[example])


def _parameter_schema(parameter: Parameter) -> dict[str, Any]:
    limits = {
        "minimum": parameter.minimum,
        "maximum": parameter.maximum,
        "enum": list(parameter.choices) or None,
    }
    given = {name: limit for name, limit in limits.items() if limit is not None}
    return {"type": _KINDS[parameter.kind][1], **given}


def _describe(parameter: Parameter) -> str:
    owners = [one.name for one in COMPOSITES.values() if parameter in one.parameters]
    owners += [one.name for one in ATTRIBUTORS.values() if parameter in one.parameters]
    names = ", ".join(f"`{name}`" for name in owners)
    default = parameter.default
    shown = default if isinstance(default, str) else json.dumps(default)
    value = "" if default is None else f"; default {shown}"
    return f"{parameter.text} (of {names}{value})"
