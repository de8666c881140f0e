"""What the answers look like."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.api.request.parameters import Method, Rule
from service.methods import Kind, Value
from service.methods.rules import Affects
from service.models.measures import Accuracy, Confusion, Epoch

REFERENCE = "#/components/schemas/{model}"  # to one of these, in the OpenAPI document


class _Schema(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ClassScore(_Schema):
    """A class and its score."""

    index: int = Field(ge=0)
    label: str
    probability: float = Field(ge=0, le=1, description="Softmax of the logits")
    logit: float


class ImageInfo(_Schema):
    """What the network saw of the image."""

    width: int = Field(description="Of the upright image, in pixels")
    height: int = Field(description="Of the upright image, in pixels")
    box: tuple[int, int, int, int] = Field(
        description="Left, top, right, bottom of what the network saw, in pixels of the upright "
        "image; reaches beyond it for `pad`"
    )


class PredictResponse(_Schema):
    """The answer of `/predict`."""

    model: str
    model_sha256: str = Field(description="SHA-256 of the weights")
    predictions: list[ClassScore] = Field(description="The best classes, the best one first")
    image: ImageInfo


class LayerConservation(_Schema):
    """How much relevance arrived at the output of a layer."""

    layer: str
    arrived: float


class Conservation(_Schema):
    """How much of the relevance at the output arrived."""

    start: float = Field(description="Relevance that was there to be handed on")
    arrived: float = Field(description="Sum of the relevance that is returned")
    ratio: float | None = Field(
        description="`arrived / start`; null where the start is 0 or the method does not conserve"
    )
    by_layer: list[LayerConservation] | None = Field(
        description="At the outputs of those layers that every path crosses, from the network's "
        "output on; null where the method does not conserve"
    )


class RelevanceArray(_Schema):
    """Relevance as numbers."""

    shape: list[int]
    dtype: Literal["float32"]
    data: str | list[Any] = Field(
        description="Base64 of little-endian float32 in C order, or nested lists"
    )


class ExplainedTarget(_Schema):
    """The explanation of one class."""

    target: ClassScore = Field(description="The class that was explained")
    bound: float = Field(description="The absolute relevance that has the full colour")
    conservation: Conservation
    heatmap: str | None = Field(None, description="Base64 of a PNG")
    overlay: str | None = Field(None, description="Base64 of a PNG")
    relevance: RelevanceArray | None = None


class _Explained(PredictResponse):
    method: Method = Field(description="With every parameter that was in effect")
    layers_without_rule: list[str] = Field(
        description="Layers and functions that pass a plain gradient though the method has rules"
    )


class ExplainResponse(ExplainedTarget, _Explained):
    """The answer of `/explain` about one class."""


class TargetsResponse(_Explained):
    """The answer of `/explain` about the classes in `targets`."""

    explanations: list[ExplainedTarget] = Field(description="One for each, in their order")


class OptionProblemInfo(_Schema):
    """One option that is wrong."""

    option: str
    detail: str


class Problem(_Schema):
    """An error, as RFC 9457 says (`application/problem+json`)."""

    type: str = Field(description="Stable: `urn:lrpserve:problem:<name>`")
    title: str
    status: int
    detail: str = Field(description="What to do")
    request_id: str
    errors: list[OptionProblemInfo] | None = Field(None, description="The options that are wrong")


class ParameterInfo(_Schema):
    """A parameter of a composite, a rule or an attributor."""

    name: str
    kind: Kind
    default: Value | None = Field(
        description="null where it follows from the size of the network's input"
    )
    text: str
    minimum: float | None
    maximum: float | None
    choices: list[str] = Field(description="The values of an enum")


class CompositeInfo(_Schema):
    """A composite that can be asked for."""

    name: str
    text: str
    source: str
    conserves: bool
    parameters: list[ParameterInfo]
    rules: list[Rule] = Field(
        description="As a composite of one's own is written: the first whose `layers` match a "
        "layer gives its rule"
    )


class AttributorInfo(_Schema):
    """An attributor that can be asked for."""

    name: str
    text: str
    source: str
    parameters: list[ParameterInfo]
    is_modified: bool = Field(
        description="Whether it goes with composites, layers and starts; else it is about the "
        "plain network"
    )


class RuleInfo(_Schema):
    """A rule, for composites of one's own."""

    name: str
    text: str
    source: str
    affects: Affects = Field(description="The kinds of layers that it can be given to")
    parameters: list[ParameterInfo]
    conserves: bool


class ColormapInfo(_Schema):
    """A colour map that can be asked for."""

    name: str
    text: str
    color_blind_safe: bool = Field(description="As ColorBrewer has it")
    strip: str = Field(
        description="Base64 of a PNG, 255 pixels wide: its colours from against over nothing to for"
    )


class LayerDescription(_Schema):
    """A layer whose relevance can be asked for."""

    name: str
    kind: str = Field(description="The class of its module")
    shape: list[int] = Field(description="Of its output, for one image")
    has_picture: bool = Field(description="Whether there are rows and columns to draw")


class ModelInfo(_Schema):
    """A model: its card, and what can be asked of it."""

    name: str
    architecture: str
    labels: list[str]
    input_size: tuple[int, int] = Field(description="Height and width, in pixels")
    resize: int | None = Field(
        description="What `crop` first brings the shorter side to, in pixels; null: nothing"
    )
    mean: list[float]
    std: list[float]
    accuracy: dict[str, Accuracy] = Field(description="By split: `validation`, `test`")
    confusion: dict[str, Confusion] = Field(
        description="By split: number of images by true class (row) and predicted class (column)"
    )
    history: list[Epoch] = Field(description="How the training went; empty where it is not known")
    provenance: dict[str, Any]
    sha256: str
    default: bool = Field(description="Whether it is taken where none is named")
    ready: bool = Field(description="Whether it is loaded and warm")
    layers: list[LayerDescription] = Field(description="Empty before it is loaded")
    composites: list[CompositeInfo]
    own_composites: dict[str, list[Rule]] = Field(
        description="Composites that the model's bundle brings, by name: their rules"
    )
    attributors: list[AttributorInfo]
    rules: list[RuleInfo] = Field(description="What `rule` can be in a composite of one's own")
    types: dict[str, str] = Field(description="What `layers` can be there, besides names")
    colormaps: list[ColormapInfo]


class Limits(_Schema):
    """What an image may have; one with more gets a 413."""

    max_body_bytes: int = Field(description="Bytes of the body of a request")
    max_pixels: int = Field(description="Pixels of an image")


class ModelList(_Schema):
    """The models that are served."""

    models: list[ModelInfo]
    limits: Limits


class Health(_Schema):
    """The state of the service."""

    status: Literal["ok", "starting", "ready", "stalled", "grace", "draining", "broken"]
