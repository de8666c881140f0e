"""The options of a request: one model per operation, which also is its documentation."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from service import methods
from service.errors import OptionError, OptionProblem
from service.imaging.colormaps import COLORMAPS, DEFAULT
from service.imaging.fit import Fit
from service.methods import Method, Start, make_method
from service.models.card import ModelCard

Output = Literal["heatmap", "overlay", "relevance"]
OUTPUTS: tuple[Output, ...] = ("heatmap", "overlay", "relevance")
_FORCED_LABEL = "label:"
_LABELS_SHOWN = 20  # of a thousand labels an error names no more than this
_PARAMETER_NAMES = ("epsilon", "stabilizer", "zero_bias")


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


def _parameter(parameter: methods.Parameter) -> Any:
    text = f"{parameter.text} (default {parameter.default})"
    return Field(
        None,
        ge=parameter.minimum,
        le=parameter.maximum,
        description=text,
        json_schema_extra={"examples": [parameter.default]},
    )


def _not_a_switch(value: Any) -> Any:
    if isinstance(value, bool):  # pydantic would take `true` for 1
        raise ValueError("must be a number, not true or false")
    return value


ClassName = Annotated[str, BeforeValidator(_as_class, json_schema_input_type=str | int)]
Count = Annotated[int, BeforeValidator(_not_a_switch)]
Finite = Annotated[float, Field(allow_inf_nan=False), BeforeValidator(_not_a_switch)]


class PredictOptions(BaseModel):
    """The options of `/predict`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str | None = Field(
        None,
        description="Name of the model (default: the one that is loaded)",
        examples=["minivgg-cifar10"],
    )
    top_k: Count = Field(5, ge=1, le=1000, description="How many of the best classes to return")
    fit: Fit = Field(
        "crop",
        description="How an image of another shape is brought to the network's: `crop` cuts the "
        "centre out, `stretch` changes the aspect ratio, `pad` adds bars",
    )


class ExplainOptions(PredictOptions):
    """The options of `/explain`."""

    target: ClassName | None = Field(
        None,
        description="The class to explain, by index or label; `label:7` forces a label "
        "(default: the predicted class)",
        examples=["cat"],
    )
    contrast: ClassName | None = Field(
        None,
        description="A second class: the relevance for `target` against this one",
        examples=["dog"],
    )
    start: Start = Field(
        "one_hot", description="The relevance to start from: 1 at the target, or its logit"
    )
    composite: Annotated[str, OneOf(methods.COMPOSITES)] = Field(
        methods.DEFAULT_COMPOSITE,
        description="The rules. "
        + " ".join(f"`{c.name}`: {c.text}" for c in methods.COMPOSITES.values()),
    )
    attributor: Annotated[str, OneOf(methods.ATTRIBUTORS)] = Field(
        methods.DEFAULT_ATTRIBUTOR,
        description=" ".join(f"`{a.name}`: {a.text}" for a in methods.ATTRIBUTORS.values()),
    )
    epsilon: Finite | None = _parameter(methods.EPSILON)
    stabilizer: Finite | None = _parameter(methods.STABILIZER)
    zero_bias: bool | None = _parameter(methods.ZERO_BIAS)
    layer: Annotated[str, OneOf(methods.LAYERS)] = Field(
        "input", description="The layer whose relevance is returned"
    )
    output: Annotated[
        tuple[Output, ...], BeforeValidator(_split_outputs, json_schema_input_type=str)
    ] = Field(
        ("heatmap",),
        description="What to return, comma-separated: `heatmap` and `overlay` (PNG), `relevance`",
        json_schema_extra={"default": "heatmap", "examples": ["heatmap,relevance"]},
    )
    relevance_format: Literal["base64", "list"] = Field(
        "base64", description="Relevance as base64 of little-endian float32, or as nested lists"
    )
    channels: Literal["sum", "all"] = Field(
        "sum", description="Relevance summed over the colour channels, or for each of them"
    )
    cmap: Annotated[str, OneOf(COLORMAPS)] = Field(
        DEFAULT,
        description="Colour map. " + "; ".join(f"`{n}`: {t}" for n, t in COLORMAPS.items()),
    )
    size: Count = Field(256, ge=16, le=2048, description="Side of the pictures, in pixels")
    bound: Finite | None = Field(
        None,
        gt=0,
        description="The absolute relevance that gets the full colour, so that pictures can be "
        "compared (default: the image's own maximum)",
        examples=[0.02],
    )

    def method(self) -> Method:
        """The attributor and the rules that were asked for.

        Raises
        ------
        OptionError
            A parameter that the composite does not have.
        """
        values = {name: getattr(self, name) for name in _PARAMETER_NAMES}
        given = {name: value for name, value in values.items() if value is not None}
        return make_method(self.composite, self.attributor, given)


Options = TypeVar("Options", bound=PredictOptions)


def parse_options(kind: type[Options], given: Mapping[str, Any], card: ModelCard) -> Options:
    """Check the options of a request.

    Raises
    ------
    OptionError
        Names every option that is wrong, and what is allowed.
    """
    try:
        options = kind.model_validate(given)
    except ValidationError as error:
        allowed = ", ".join(["image", *kind.model_fields])
        raise OptionError([_problem(e, allowed) for e in error.errors()]) from None
    if options.model not in (None, card.name):
        raise OptionError.of("model", f"there is no such model; loaded is: {card.name}")
    return options


def class_index(option: str, name: str | None, card: ModelCard) -> int | None:
    """Turn a class, as it was asked for, into its index.

    Parameters
    ----------
    option : str
        Where it was asked for; the error names it.
    name : str or None
        All digits are an index, anything else is a label; `label:7` forces a label.
    card : ModelCard
        Its labels.

    Raises
    ------
    OptionError
        There is no such class.
    """
    if name is None:
        return None
    if re.fullmatch("[0-9]+", name):
        # no more digits than any number of classes has: int() refuses thousands of them
        index = int(name) if len(name) < 10 else len(card.labels)
        if index >= len(card.labels):
            raise OptionError.of(option, f"must be below {len(card.labels)}, or a label")
        return index
    label = name.removeprefix(_FORCED_LABEL)
    if label not in card.labels:
        shown = ", ".join(card.labels[:_LABELS_SHOWN])
        more = ", ..." if len(card.labels) > _LABELS_SHOWN else ""
        raise OptionError.of(
            option, f"must be an index below {len(card.labels)}, or one of: {shown}{more}"
        )
    return card.labels.index(label)


def _problem(error: Any, allowed: str) -> OptionProblem:
    option = str(error["loc"][0]) if error["loc"] else "options"
    if error["type"] == "extra_forbidden":
        return OptionProblem(option, f"there is no such option; there are: {allowed}")
    if error["type"].startswith("bool"):
        return OptionProblem(option, "must be true or false")
    message = str(error["msg"]).removeprefix("Value error, ")
    return OptionProblem(option, message[:1].lower() + message[1:])
