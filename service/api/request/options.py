"""The options of a request: one model per operation, which also is its documentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from service.api.request.fields import (
    EXAMPLE_RULES,
    MAX_TARGETS,
    ClassName,
    ClassNames,
    CompositeOrRules,
    Count,
    Outputs,
    Positive,
    describe_composites,
)
from service.api.request.parameters import OneOf, parameter_fields
from service.errors import OptionError, OptionProblem
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

_LEVELS = ", ".join(f"{level:.0%}" for level in LEVELS)


class PredictOptions(BaseModel):
    """The options of `/predict`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str | None = Field(
        None,
        description="Name of the model, as `/models` lists them (default: the one that is marked "
        "as `default` there)",
        examples=["minivgg-cifar10"],
    )
    top_k: Count = Field(5, ge=1, le=1000, description="How many of the best classes to return")
    fit: Fit = Field(
        "crop",
        description="How an image of another shape is brought to the network's: `crop` cuts the "
        "centre out, `stretch` changes the aspect ratio, `pad` adds bars",
    )


class _ExplainOptions(PredictOptions):
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
    targets: ClassNames | None = Field(
        None,
        description=f"Up to {MAX_TARGETS} classes to explain at once, in place of `target` and "
        "`contrast`; the answer, in JSON, has `explanations`",
        examples=[["cat", "dog"]],
    )
    start: Start = Field(
        "one_hot", description="The relevance to start from: 1 at the target, or its logit"
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
        description="The layer whose output's relevance is returned, as `/models` lists them; "
        "`input` is the image",
    )
    output: Outputs = Field(
        ("heatmap",),
        description="What to return, comma-separated: `heatmap` and `overlay` (PNG), `relevance`",
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
        description="How a map is brought to `size`: `nearest` makes squares of its pixels, "
        "`smooth` interpolates between them (default: squares in a heatmap, smooth in an overlay)",
        examples=["smooth"],
    )
    overlay_style: OverlayStyle = Field(
        "alpha",
        description="How an overlay shows relevance: `alpha` covers the more of the picture, the "
        f"more there is; `contours` draws lines at {_LEVELS} of the `bound`",
    )
    color_bar: bool = Field(
        False,
        description="Put a colour bar with its scale to the right of the pictures, which become "
        "wider by it",
    )
    bound: Positive | None = Field(
        None,
        description="The absolute relevance that gets the full colour, so that pictures can be "
        "compared (default: the image's own maximum)",
        examples=[0.02],
    )

    def method(self, card: ModelCard) -> Method:
        """The attributor, the rules and the layer that were asked for.

        Raises
        ------
        OptionError
            There is no such composite, it does not have a parameter that is given, or what was
            asked for does not go together.
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
else:  # the parameters are those of the registry
    ExplainOptions = create_model(
        "ExplainOptions",
        __base__=_ExplainOptions,
        __doc__=_ExplainOptions.__doc__,
        **parameter_fields(),
    )

Options = TypeVar("Options", bound=PredictOptions)


def parse_options(
    kind: type[Options], given: Mapping[str, Any], models: Mapping[str, ModelCard]
) -> Options:
    """Check the options of a request.

    Parameters
    ----------
    kind : type
        `PredictOptions` or `ExplainOptions`.
    given : mapping of str to Any
        The options as they were sent.
    models : mapping of str to ModelCard
        The models that there are, by name.

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
    if options.model is not None and options.model not in models:
        raise OptionError.of("model", f"there is no such model; there are: {', '.join(models)}")
    return options


def _problem(error: Any, allowed: str) -> OptionProblem:
    option = str(error["loc"][0]) if error["loc"] else "options"
    if error["type"] == "extra_forbidden":
        return OptionProblem(option, f"there is no such option; there are: {allowed}")
    if error["type"].startswith("bool"):
        return OptionProblem(option, "must be true or false")
    message = str(error["msg"]).removeprefix("Value error, ")
    return OptionProblem(option, message[:1].lower() + message[1:])
