"""Methods, rules and their parameters as pydantic types, made from the registries."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainValidator,
    RootModel,
    WithJsonSchema,
    create_model,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from service import methods, strict_json
from service.errors import OptionError, join_names
from service.methods import (
    ATTRIBUTORS,
    COMPOSITES,
    CUSTOM,
    DEFAULT_COMPOSITE,
    INPUT,
    PLAIN,
    RULES,
    TYPES,
    Attributor,
    Composite,
    Kind,
    Parameter,
    Rules,
    Start,
    Value,
    all_parameters,
    parse_rules,
)
from service.methods.rules import MAX_ASSIGNMENTS

EXAMPLE_RULES = [
    {"layers": "first:convolution", "rule": "flat"},
    {"layers": "type:convolution", "rule": "gamma", "gamma": 0.5},
    {"layers": "type:dense", "rule": "epsilon", "epsilon": 0.001},
    {"layers": "type:activation", "rule": "pass"},
]
_MAX_TEXT = 200_000  # characters of rules in a form: enough for all, parsed in milliseconds
_MAX_VALUES = 5000  # of rules: 256 with all of their parameters have 1,800
_EXAMPLE_PIXELS = 8  # of parameters that count pixels; small enough for any network
_TYPES: Mapping[Kind, tuple[type, str]] = {  # in Python and in JSON schema
    "number": (float, "number"),
    "integer": (int, "integer"),
    "boolean": (bool, "boolean"),
    "enum": (str, "string"),
}
_Owners = Sequence[Attributor | Composite | methods.Rule]


class OneOf:
    """Restricts a string to the keys of a registry; an enumeration in JSON schema."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)

    def check(self, value: Any) -> str:
        """Return a key; raise ValueError for any other value."""
        if not isinstance(value, str) or value not in self.names:
            raise ValueError(f"must be one of: {join_names(self.names)}")
        return value

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "enum": list(self.names)}


def refuse_boolean(value: Any) -> Any:
    """Raise ValueError for a boolean, which pydantic would take for 0 or 1."""
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return value


def parameter_fields() -> dict[str, Any]:
    """A field for each parameter that a request can set, with None for one that is left out."""
    return {name: _field(parameter) for name, parameter in all_parameters().items()}


def _field(parameter: Parameter) -> tuple[Any, Any]:
    def check(value: Value) -> Value:
        problem = parameter.validate(value)
        if problem:
            raise ValueError(problem)
        return value

    is_number = parameter.kind in ("number", "integer")
    before = [BeforeValidator(refuse_boolean)] if is_number else []
    checks = (*before, AfterValidator(check), WithJsonSchema(_schema(parameter)))
    annotation = Annotated[(_TYPES[parameter.kind][0], *checks)]  # type: ignore[valid-type]
    return annotation | None, Field(
        None,
        description=_describe(parameter, (*COMPOSITES.values(), *ATTRIBUTORS.values())),
        examples=[_EXAMPLE_PIXELS if parameter.default is None else parameter.default],
        json_schema_extra=_remove_null,
    )


def _remove_null(schema: dict[str, Any]) -> None:
    """Take `null` out of a schema: a parameter without a value is left out instead."""
    del schema["default"]
    schema |= schema.pop("anyOf")[0]


def _schema(parameter: Parameter) -> JsonSchemaValue:
    limits = {
        "minimum": parameter.minimum,
        "maximum": parameter.maximum,
        "enum": list(parameter.choices) or None,
    }
    given = {name: limit for name, limit in limits.items() if limit is not None}
    return {"type": _TYPES[parameter.kind][1], **given}


def _describe(parameter: Parameter, owners: _Owners) -> str:
    names = ", ".join(f"`{owner.name}`" for owner in owners if parameter in owner.parameters)
    default = parameter.default
    shown = default if isinstance(default, str) else json.dumps(default)
    value = "" if default is None else f"; default {shown}"
    return f"{parameter.text} (of {names}{value})"


class Rule(RootModel[dict[str, Any]]):
    """A rule for some layers, with parameters that the rule has.

    The model gives the schema a name; its content is passed on as it is.
    """

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        types = ", ".join(f"`{name}`" for name in TYPES)
        return {
            "description": "A rule for some layers, with parameters that the rule has",
            "type": "object",
            "required": ["layers", "rule"],
            "properties": {
                "layers": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 200,
                    "description": "The name of a layer, with `*` and `?` as wildcards, or a "
                    f"type: {types}",
                },
                "rule": {"type": "string", "enum": list(RULES)},
                **_rule_properties(),
            },
            "additionalProperties": False,
        }


def _rule_properties() -> dict[str, JsonSchemaValue]:
    """The schema of each parameter that a rule can have."""
    owners = tuple(RULES.values())
    by_name: dict[str, dict[Parameter, None]] = {}
    for parameter in (parameter for rule in owners for parameter in rule.parameters):
        by_name.setdefault(parameter.name, {})[parameter] = None  # `beta` is two, of two rules
    return {name: _property(tuple(meanings), owners) for name, meanings in by_name.items()}


def _property(meanings: Sequence[Parameter], owners: _Owners) -> JsonSchemaValue:
    schemas = [_schema(parameter) for parameter in meanings]
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    return schema | {"description": "; or: ".join(_describe(p, owners) for p in meanings)}


class _Method(BaseModel):
    """How an image was explained, with the parameters that were in effect."""

    model_config = ConfigDict(extra="forbid")

    attributor: Annotated[str, OneOf(ATTRIBUTORS)]
    composite: str = Field(
        description=f"The composite's name; `{CUSTOM}` if the request has a list of rules"
    )
    start: Start
    contrast: str | None = Field(description="Label of the class that it was explained against")
    layer: str | None = Field(
        description=f"The layer of the relevance; `{INPUT}` is the image, null several `layers`"
    )
    engine: str = Field(
        description="The implementation that ran: `twin`, or `zennit` if there is no twin"
    )
    rules: list[Rule] = Field(
        [], description="The rules of a composite that is not one of the service's own"
    )


if TYPE_CHECKING:
    Method = _Method
else:  # with a field for each parameter of the registries
    Method = create_model("Method", __base__=_Method, __doc__=_Method.__doc__, **parameter_fields())


def _parse_composite(value: Any) -> str | Rules | None:
    """Return a name as it is; parse a list of rules, which in forms and queries is JSON text."""
    if isinstance(value, str) and not value.lstrip().startswith("["):
        return value
    if value is None:
        return None
    try:
        return parse_rules(_load_rules(value) if isinstance(value, str) else value)
    except OptionError as error:
        raise ValueError(error.problems[0].detail) from None


def _load_rules(text: str) -> Any:
    if len(text) > _MAX_TEXT:
        raise ValueError(f"must have at most {_MAX_TEXT} characters")
    if text.count(",") + text.count("[") > _MAX_VALUES:  # before they are parsed
        raise ValueError("is not valid JSON of rules: it has too many commas and brackets")
    try:
        return strict_json.loads(text)
    except ValueError as error:
        raise ValueError(f"is not valid JSON: {error}") from None


CompositeOrRules = Annotated[
    str | Rules | None,
    PlainValidator(
        _parse_composite,
        json_schema_input_type=str
        | Annotated[list[Rule], Field(min_length=1, max_length=MAX_ASSIGNMENTS)],
    ),
]


def describe_composites() -> str:
    """The description of the option `composite`, in Markdown."""
    plain = ", ".join(f"`{a.name}`" for a in ATTRIBUTORS.values() if not a.is_modified)
    names = "\n".join(f"- `{name}`: {composite.text}" for name, composite in COMPOSITES.items())
    types = "\n".join(f"- `{name}`: {text}" for name, text in TYPES.items())
    rules = "\n".join(
        f"- `{name}`{_in_brackets(rule.parameters)}: {rule.text}" for name, rule in RULES.items()
    )
    return (
        "The rules: the name of a composite, or a list of rules in JSON. Besides the composites "
        f"that a model's bundle brings, which `/models` lists, there are:\n\n{names}\n\n"
        "In a list, a layer gets the rule of the first entry whose `layers` match it and whose "
        "`rule` fits its kind; a layer without a rule passes a plain gradient. `layers` is the "
        f"name of a layer, with `*` and `?` as wildcards, or one of:\n\n{types}\n\n"
        f"`rule`, with its parameters beside it, is one of:\n\n{rules}\n\n"
        f"Default: `{DEFAULT_COMPOSITE}`, but `{PLAIN}` with {plain}. A model may have a default "
        "of its own, `default_method` in `/models`, for requests that name neither a composite "
        "nor an attributor"
    )


def _in_brackets(parameters: Iterable[Parameter]) -> str:
    names = ", ".join(parameter.name for parameter in parameters)
    return f" ({names})" if names else ""
