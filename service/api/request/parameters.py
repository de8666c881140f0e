"""What the registries of methods hold, as kinds of values and as fields of models."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from service.methods import (
    ATTRIBUTORS,
    COMPOSITES,
    RULES,
    Attributor,
    Composite,
    Kind,
    Parameter,
    Rule,
    Value,
    all_parameters,
)

_PIXELS = 8  # an example for what is counted in pixels, small enough for any network
_KINDS: Mapping[Kind, tuple[type, str]] = {  # the types of Python and of JSON schema
    "number": (float, "number"),
    "integer": (int, "integer"),
    "boolean": (bool, "boolean"),
    "enum": (str, "string"),
}
_Owners = Sequence[Attributor | Composite | Rule]


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


def not_a_switch(value: Any) -> Any:
    """Pass a number on; raise ValueError for `true`, which pydantic would take for 1."""
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return value


def parameter_fields() -> dict[str, Any]:
    """A field for each parameter that a request can set, None where it is left out."""
    return {name: _field(parameter) for name, parameter in all_parameters().items()}


def rule_properties() -> dict[str, JsonSchemaValue]:
    """The schema of each parameter that a rule can have."""
    owners = tuple(RULES.values())
    by_name: dict[str, dict[Parameter, None]] = {}
    for one in (parameter for rule in owners for parameter in rule.parameters):
        by_name.setdefault(one.name, {})[one] = None  # `beta` is two, of different rules
    return {name: _property(tuple(found), owners) for name, found in by_name.items()}


def _property(meanings: Sequence[Parameter], owners: _Owners) -> JsonSchemaValue:
    schemas = [_schema(one) for one in meanings]
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    return schema | {"description": "; or: ".join(_describe(one, owners) for one in meanings)}


def _field(parameter: Parameter) -> tuple[Any, Any]:
    def check(value: Value) -> Value:
        problem = parameter.validate(value)
        if problem:
            raise ValueError(problem)
        return value

    is_number = parameter.kind in ("number", "integer")
    before = [BeforeValidator(not_a_switch)] if is_number else []
    checks = (*before, AfterValidator(check), WithJsonSchema(_schema(parameter)))
    kind = Annotated[(_KINDS[parameter.kind][0], *checks)]  # type: ignore[valid-type]
    return kind | None, Field(
        None,
        description=_describe(parameter, (*COMPOSITES.values(), *ATTRIBUTORS.values())),
        examples=[_PIXELS if parameter.default is None else parameter.default],
        json_schema_extra=_never_null,
    )


def _never_null(schema: dict[str, Any]) -> None:
    """A parameter without a value is left out."""
    del schema["default"]
    schema |= schema.pop("anyOf")[0]


def _schema(parameter: Parameter) -> JsonSchemaValue:
    limits = {
        "minimum": parameter.minimum,
        "maximum": parameter.maximum,
        "enum": list(parameter.choices) or None,
    }
    given = {name: limit for name, limit in limits.items() if limit is not None}
    return {"type": _KINDS[parameter.kind][1], **given}


def _describe(parameter: Parameter, owners: _Owners) -> str:
    names = ", ".join(f"`{one.name}`" for one in owners if parameter in one.parameters)
    default = parameter.default
    shown = default if isinstance(default, str) else json.dumps(default)
    value = "" if default is None else f"; default {shown}"
    return f"{parameter.text} (of {names}{value})"
