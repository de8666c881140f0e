"""The options of a request: a pydantic model per route, which also is the documentation."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import chain, repeat
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    create_model,
)

from service.api.request.layer_names import ALL_LAYERS, LayerNames
from service.api.request.parameters import (
    EXAMPLE_RULES,
    CompositeOrRules,
    OneOf,
    describe_composites,
    parameter_fields,
    refuse_boolean,
)
from service.errors import OptionError, OptionProblem, join_names
from service.imaging.colormaps import COLORMAPS, DEFAULT
from service.imaging.contours import LEVELS
from service.imaging.fit import Fit
from service.imaging.render_options import Enlarge, OverlayStyle
from service.methods import (
    ATTRIBUTORS,
    DEFAULT_ATTRIBUTOR,
    INPUT,
    Method,
    Start,
    all_parameters,
    make_method,
)
from service.models.card import ModelCard

Output = Literal["heatmap", "overlay", "relevance", "evidence", "view", "original"]
OUTPUTS: tuple[Output, ...] = get_args(Output)
EVIDENCE: Output = "evidence"
PICTURES = tuple(name for name in OUTPUTS if name not in ("relevance", EVIDENCE))
NEEDS_RELEVANCE_MAP = frozenset({"heatmap", "overlay"})
NEEDS_IMAGE = frozenset({"overlay", "view", "original"})
MAX_TARGETS = 10
_MAX_OUTPUTS = 20  # names of a list that may repeat
_LEVELS = ", ".join(f"{level:.0%}" for level in LEVELS)


def _index_as_text(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


def _split_outputs(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("must be a string of comma-separated names")
    names = [name.strip() for name in value.split(",", _MAX_OUTPUTS)]
    if not set(names) <= set(OUTPUTS):
        raise ValueError(f"must be one or more of: {join_names(OUTPUTS)}; separated by commas")
    return tuple(dict.fromkeys(names))


def _check_targets(value: Any) -> Any:
    if not isinstance(value, list):
        raise ValueError(f"must be a list of 1 to {MAX_TARGETS} classes; only in JSON")
    if not 1 <= len(value) <= MAX_TARGETS:
        raise ValueError(f"must be a list of 1 to {MAX_TARGETS} classes, not of {len(value)}")
    return value


ClassName = Annotated[str, BeforeValidator(_index_as_text, json_schema_input_type=str | int)]
ClassNames = Annotated[
    tuple[ClassName, ...],
    BeforeValidator(_check_targets),
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
Count = Annotated[int, BeforeValidator(refuse_boolean)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), BeforeValidator(refuse_boolean)]
Outputs = Annotated[tuple[Output, ...], BeforeValidator(_split_outputs, json_schema_input_type=str)]


class PredictOptions(BaseModel):
    """Options of `/predict`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str | None = Field(
        None,
        description="Name of a model that `/models` lists (default: the model that is marked as "
        "`default` there)",
        examples=["minivgg-cifar10"],
    )
    top_k: Count = Field(
        5, ge=1, le=1000, description="Number of classes to return, the most probable first"
    )
    fit: Fit = Field(
        "crop",
        description="How an image of another shape is made to fit the network's input: `crop` "
        "cuts out the centre, `stretch` changes the aspect ratio, `pad` adds bars",
    )


class _ExplainOptions(PredictOptions):
    """Options of `/explain`."""

    target: ClassName | None = Field(
        None,
        description="The class to explain, by index or label; `label:7` forces a label "
        "(default: the predicted class)",
        examples=["cat"],
    )
    contrast: ClassName | None = Field(
        None,
        description="A second class: the relevance for `target` against this class",
        examples=["dog"],
    )
    targets: ClassNames | None = Field(
        None,
        description=f"Up to {MAX_TARGETS} classes to explain at once, in place of `target` and "
        "`contrast`; the response, which is JSON, has `explanations`",
        examples=[["cat", "dog"]],
    )
    start: Start | None = Field(
        None,
        description="Relevance at the network's output: `logit`, the target's logit, or `one_hot`, "
        "1 at the target; a contrast gets the same, negated. Default: `logit` where the rule of "
        "the last layer divides by its output (all composites `epsilon_...`), so that positive "
        "relevance speaks for the target also where its logit is negative; else `one_hot`",
        examples=["logit"],
    )
    composite: CompositeOrRules = Field(
        None, description=describe_composites(), examples=[EXAMPLE_RULES]
    )
    attributor: Annotated[str, OneOf(ATTRIBUTORS)] = Field(
        DEFAULT_ATTRIBUTOR,
        description=" ".join(f"`{a.name}`: {a.text}" for a in ATTRIBUTORS.values()),
    )
    layer: str = Field(
        INPUT,
        description="The layer at whose output relevance is returned, out of those that `/models` "
        "lists; `input` is the image",
    )
    layers: LayerNames | None = Field(
        None,
        description=f"Several layers from one pass, in place of `layer`: `{ALL_LAYERS}`, or names, "
        "comma-separated or as a list in JSON; the response, which is JSON, has `layers`. Only "
        "with the attributor `gradient`",
        examples=[ALL_LAYERS],
    )
    output: Outputs = Field(
        ("heatmap",),
        description="What to return, comma-separated: `heatmap` and `overlay` (PNG), `relevance`; "
        "`evidence`, whether the map is right about this image; "
        "and of the image as it was decoded (upright, in sRGB, on white), as PNG in `image`: "
        "`view`, the part that the network saw, and `original`, all of it",
        json_schema_extra={"default": "heatmap", "examples": ["heatmap,relevance"]},
    )
    relevance_format: Literal["base64", "list"] = Field(
        "base64", description="Relevance as base64 of little-endian float32, or as nested lists"
    )
    channels: Literal["sum", "all"] = Field(
        "sum", description="Relevance summed over the channels, or for each of them"
    )
    cmap: Annotated[str, OneOf(COLORMAPS)] = Field(
        DEFAULT,
        description="Colour map. " + "; ".join(f"`{n}`: {t}" for n, t in COLORMAPS.items()),
    )
    size: Count = Field(256, ge=16, le=2048, description="Side of the pictures, in pixels")
    enlarge: Enlarge | None = Field(
        None,
        description="How a map is scaled to `size`: `nearest` makes squares of its pixels, "
        "`smooth` interpolates (default: `nearest` in a heatmap, `smooth` in an overlay)",
        examples=["smooth"],
    )
    overlay_style: OverlayStyle = Field(
        "alpha",
        description="How an overlay shows relevance: `alpha` covers the picture, more where there "
        f"is more relevance; `contours` draws lines at {_LEVELS} of the `bound`",
    )
    color_bar: bool = Field(
        False,
        description="Add a colour bar with its scale to the right of each picture, which becomes "
        "wider",
    )
    bound: Positive | None = Field(
        None,
        description="The absolute relevance that gets the full colour; set it to compare pictures "
        "(default: the image's own maximum)",
        examples=[0.02],
    )

    def method(self, card: ModelCard) -> Method:
        """The attributor, the rules and the layer, with the defaults of the model's input size.

        Raises
        ------
        OptionError
            There is no such composite, it does not have a parameter that is given, or options
            contradict each other.
        """
        values = {name: getattr(self, name) for name in all_parameters()}
        return make_method(
            self.composite,
            self.attributor,
            {name: value for name, value in values.items() if value is not None},
            input_size=card.input_size,
            layer=self.layer,
            own=card.own_composites,
        )


if TYPE_CHECKING:
    ExplainOptions = _ExplainOptions
else:  # with a field for each parameter of the registries
    ExplainOptions = create_model(
        "ExplainOptions",
        __base__=_ExplainOptions,
        __doc__=_ExplainOptions.__doc__,
        **parameter_fields(),
    )

Options = TypeVar("Options", bound=PredictOptions)


def parse_options(
    kind: type[Options],
    given: Mapping[str, Any],
    models: Mapping[str, ModelCard],
    elsewhere: Collection[str] = (),
) -> Options:
    """Validate the options of a request.

    Parameters
    ----------
    kind : type
        `PredictOptions` or `ExplainOptions`.
    given : mapping of str to Any
        The options as they were sent; None is left out, as many serializers write it.
    models : mapping of str to ModelCard
        The served models' cards, by name.
    elsewhere : collection of str
        What a request has in other places than its options, so that no error proposes it.

    Raises
    ------
    OptionError
        Names every wrong option and what is allowed.
    """
    fields = kind.model_fields
    unknown = [name for name in given if name not in fields]  # they may be very many
    allowed = [name for name in ("image", *fields) if name not in elsewhere]
    known = {name: v for name, v in given.items() if v is not None and name in fields}
    try:
        options = kind.model_validate(known)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
        raise OptionError([*map(_problem, errors), *_unknown_problems(unknown, allowed)]) from None
    if unknown:
        raise OptionError(_unknown_problems(unknown, allowed))
    if options.model is not None and options.model not in models:
        raise OptionError.of("model", f"there is no such model; there are: {join_names(models)}")
    return options


def _unknown_problems(names: Sequence[str], allowed: Sequence[str]) -> list[OptionProblem]:
    """A problem for each option that does not exist; the first says which ones do."""
    first = f"there is no such option; there are: {join_names(allowed, limit=len(allowed))}"
    details = chain([first], repeat("there is no such option"))
    return [OptionProblem(name, detail) for name, detail in zip(names, details, strict=False)]


def _problem(error: Any) -> OptionProblem:
    option = str(error["loc"][0]) if error["loc"] else "options"
    if error["type"].startswith("bool"):
        return OptionProblem(option, "must be true or false")
    message = str(error["msg"]).removeprefix("Value error, ")
    return OptionProblem(option, message[:1].lower() + message[1:])
