"""Methods and their rules, as requests and answers write them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, RootModel, create_model
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from service.api.request.parameters import OneOf, parameter_fields, rule_properties
from service.methods import ATTRIBUTORS, CUSTOM, INPUT, RULES, TYPES, Start


class Rule(RootModel[dict[str, Any]]):
    """A rule for some layers, with parameters that the rule has.

    As a model it has a name in the schema; what is in it goes out as it was written.
    """

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        types = ", ".join(f"`{name}`" for name in TYPES)
        layers = "The name of a layer, in which `*` and `?` may stand for others, or a type"
        return {
            "description": "A rule for some layers, with parameters that the rule has",
            "type": "object",
            "required": ["layers", "rule"],
            "properties": {
                "layers": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 200,
                    "description": f"{layers}: {types}",
                },
                "rule": {"type": "string", "enum": list(RULES)},
                **rule_properties(),
            },
            "additionalProperties": False,
        }


class _Method(BaseModel):
    """How an image was explained, with the parameters that were in effect."""

    model_config = ConfigDict(extra="forbid")

    attributor: Annotated[str, OneOf(ATTRIBUTORS)]
    composite: str = Field(
        description=f"Its name; `{CUSTOM}` where the request had a list of rules of its own"
    )
    start: Start
    contrast: str | None = Field(description="Label of the class that it was explained against")
    layer: str = Field(description=f"Whose relevance it is; `{INPUT}` is the image")
    engine: str = Field(
        description="The implementation that ran: `twin`, or `zennit` where there is no twin"
    )
    rules: list[Rule] = Field([], description="Those of a composite that is not the service's own")


if TYPE_CHECKING:
    Method = _Method
else:  # the parameters are those of the registry
    Method = create_model("Method", __base__=_Method, __doc__=_Method.__doc__, **parameter_fields())
