"""The responses' schemas, as pydantic models for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.api.request.parameters import Method, Rule
from service.api.response.evidence_schemas import ExplanationEvidence
from service.methods import Kind, Start, Value
from service.methods.rules import Affects
from service.models.evidence import DefaultMethod, Evidence
from service.models.measures import Accuracy, Confusion, Epoch

REFERENCE = "#/components/schemas/{model}"  # in the OpenAPI document


class _Schema(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ClassScore(_Schema):
    """A class and its score."""

    index: int = Field(ge=0)
    label: str
    probability: float = Field(ge=0, le=1, description="Softmax of the logits")
    logit: float


class ImageInfo(_Schema):
    """The image, and the part of it that the network saw."""

    width: int = Field(description="Width of the upright image, in pixels")
    height: int = Field(description="Height of the upright image, in pixels")
    box: tuple[int, int, int, int] = Field(
        description="Left, top, right, bottom of the part that the network saw, in pixels of the "
        "upright image; beyond the image with `fit=pad`"
    )


class ExplainedImageInfo(ImageInfo):
    """The image, the part of it that the network saw, and pictures of both."""

    view: str | None = Field(
        None, description="PNG in base64: the part that the network saw, upright and in sRGB"
    )
    original: str | None = Field(
        None, description="PNG in base64: the whole image, upright and in sRGB"
    )


class PredictResponse(_Schema):
    """The response of `/predict`."""

    model: str
    model_sha256: str = Field(description="SHA-256 of the weights")
    predictions: list[ClassScore] = Field(description="The most probable classes, in order")
    image: ImageInfo


class LayerConservation(_Schema):
    """The sum of relevance at the output of a layer."""

    layer: str
    arrived: float


class Account(_Schema):
    """The account of the relevance: `positive + negative + absorbed = start`."""

    start: float = Field(
        description="Relevance at the network's output: the logit (with a contrast, the difference "
        "of the logits), or 1, as `method.start` says; the mean over the samples of `smooth_grad`"
    )
    arrived: float = Field(description="Sum of the returned relevance: `positive + negative`")
    ratio: float | None = Field(
        description="`arrived / start`; null if the start is 0 or the method does not conserve. "
        "Large where the start is close to 0, as for two classes of nearly the same logit"
    )
    positive: float = Field(
        description="Sum of the relevance above 0, which speaks for the target; the channels of a "
        "pixel are summed before"
    )
    negative: float = Field(
        description="Sum of the relevance below 0, which speaks against the target (or for the "
        "contrast)"
    )
    absorbed: float | None = Field(
        description="What biases and stabilizers kept: `start - arrived`; null where the method "
        "does not conserve"
    )


class Conservation(Account):
    """The account of the relevance, with its sums at layers."""

    by_layer: list[LayerConservation] | None = Field(
        description="Sums at the layers that every path through the network crosses, from its "
        "output on; null where the method does not conserve"
    )


class RelevanceArray(_Schema):
    """Relevance as an array."""

    shape: list[int]
    dtype: Literal["float32"]
    data: str | list[Any] = Field(
        description="Base64 of little-endian float32 in C order, or nested lists"
    )


class ExplainedTarget(_Schema):
    """The explanation of a target."""

    target: ClassScore = Field(description="The explained class")
    bound: float = Field(description="The absolute relevance that gets the full colour")
    conservation: Conservation
    heatmap: str | None = Field(None, description="PNG in base64")
    overlay: str | None = Field(None, description="PNG in base64")
    relevance: RelevanceArray | None = None
    evidence: ExplanationEvidence | None = None


class Explained(PredictResponse):
    """What all responses of `/explain` have."""

    image: ExplainedImageInfo
    method: Method = Field(description="The method, with every parameter that was in effect")
    layers_without_rule: list[str] = Field(
        description="Layers and functions that pass a plain gradient though the method has rules"
    )


class ExplainResponse(ExplainedTarget, Explained):
    """The response of `/explain` with one target."""


class TargetsResponse(Explained):
    """The response of `/explain` with `targets`."""

    explanations: list[ExplainedTarget] = Field(
        description="One per target, in the order of `targets`"
    )


class OptionProblemInfo(_Schema):
    """An invalid option."""

    option: str
    detail: str


class Problem(_Schema):
    """An error: problem details by RFC 9457 (`application/problem+json`)."""

    type: str = Field(description="Stable: `urn:lrpserve:problem:<name>`")
    title: str
    status: int
    detail: str = Field(description="What to do")
    request_id: str
    errors: list[OptionProblemInfo] | None = Field(None, description="The invalid options")


class ParameterInfo(_Schema):
    """A parameter of a composite, a rule or an attributor."""

    name: str
    kind: Kind
    default: Value | None = Field(
        description="null if it depends on the size of the network's input"
    )
    text: str
    minimum: float | None
    maximum: float | None
    choices: list[str] = Field(description="The values of an enum")


class CompositeInfo(_Schema):
    """A composite of the service."""

    name: str
    text: str
    source: str
    conserves: bool
    start: Start | None = Field(
        description="The default of the option `start`; null while the model is loaded, or where "
        "the composite does not fit the network"
    )
    parameters: list[ParameterInfo]
    rules: list[Rule] = Field(
        description="As a request writes them: a layer gets the rule of the first entry whose "
        "`layers` match it"
    )


class AttributorInfo(_Schema):
    """An attributor."""

    name: str
    text: str
    source: str
    parameters: list[ParameterInfo]
    is_modified: bool = Field(
        description="Whether it takes a composite, a layer and a start; if not, it explains the "
        "unmodified network"
    )


class RuleInfo(_Schema):
    """A rule, for the list of rules in `composite`."""

    name: str
    text: str
    source: str
    affects: Affects = Field(description="The kinds of layers that the rule fits")
    parameters: list[ParameterInfo]
    conserves: bool
    divides_by_output: bool = Field(
        description="Whether it divides relevance by the layer's output; at the last layer, the "
        "default of `start` is then `logit`"
    )


class ColormapInfo(_Schema):
    """A colour map."""

    name: str
    text: str
    color_blind_safe: bool = Field(description="As ColorBrewer says")
    strip: str = Field(
        description="PNG in base64, 255 pixels wide: colours from negative to positive relevance"
    )


class LayerDescription(_Schema):
    """A layer at whose output relevance can be returned."""

    name: str
    kind: str = Field(description="Class of the module")
    shape: list[int] = Field(description="Shape of the output, without the batch")
    has_picture: bool = Field(description="Whether the output has rows and columns to draw")


class ModelInfo(_Schema):
    """A model: its card, layers and methods."""

    name: str
    architecture: str
    labels: list[str]
    input_size: tuple[int, int] = Field(description="Height and width, in pixels")
    resize: int | None = Field(
        description="Length to which `crop` first scales the shorter side, in pixels, or null"
    )
    mean: list[float]
    std: list[float]
    accuracy: dict[str, Accuracy] = Field(description="By split: `validation`, `test`")
    confusion: dict[str, Confusion] = Field(
        description="By split: number of images by true class (row) and predicted class (column)"
    )
    history: list[Epoch] = Field(description="The epochs of the training; empty if unknown")
    provenance: dict[str, Any]
    sha256: str
    default_method: DefaultMethod | None = Field(
        description="The method of requests that name neither a composite nor an attributor; null "
        "for the default of the service"
    )
    evidence: Evidence | None = Field(
        description="How faithful the explanations of each method are, as it was measured; or null"
    )
    default: bool = Field(description="Whether it is used for requests that name no model")
    ready: bool = Field(description="Whether it is loaded and warmed up")
    layers: list[LayerDescription] = Field(description="Empty until the model is loaded")
    composites: list[CompositeInfo]
    own_composites: dict[str, list[Rule]] = Field(
        description="Composites that the model's bundle brings, by name: their rules"
    )
    attributors: list[AttributorInfo]
    rules: list[RuleInfo] = Field(description="The values of `rule` in a list of rules")
    types: dict[str, str] = Field(
        description="The types of layers, for `layers` in a list of rules"
    )
    colormaps: list[ColormapInfo]


class Limits(_Schema):
    """Limits of a request; beyond them it gets a 413, or a 422."""

    max_body_bytes: int = Field(description="Size of the body of a request, in bytes")
    max_pixels: int = Field(description="Number of pixels of an image")
    max_images: int = Field(description="Number of images of a request")
    max_passes: int = Field(
        description="Passes through the network of a request: samples times targets, or windows; "
        "and those of `evidence`"
    )
    max_picture_pixels: int = Field(
        description="Number of pixels of all pictures of a response, without their colour bars"
    )


class ModelList(_Schema):
    """The served models."""

    models: list[ModelInfo]
    limits: Limits


class ModelChange(_Schema):
    """What a request to load or to unload a model has done."""

    name: str
    sha256: str | None = Field(description="SHA-256 of the weights that are served now; or null")
    previous_sha256: str | None = Field(description="SHA-256 of those before; or null")
    is_changed: bool = Field(description="False if the same bundle was served already")
    workers: int = Field(description="Number of worker processes that have followed")


class Version(_Schema):
    """The version of the service, and what its numbers depend on."""

    version: str = Field(description="Of the service")
    commit: str | None = Field(description="Git commit that it was built from, if it is known")
    python: str
    torch: str | None
    torchvision: str | None
    zennit: str | None
    numpy: str | None
    pillow: str | None


class Health(_Schema):
    """The state of the service."""

    status: Literal[
        "ok", "starting", "ready", "stalled", "failing", "grace", "draining", "hung", "broken"
    ]
