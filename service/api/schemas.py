"""What the answers look like."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ClassScore(_Answer):
    """A class and its score."""

    index: int = Field(ge=0)
    label: str
    probability: float = Field(ge=0, le=1, description="Softmax of the logits")
    logit: float


class ImageInfo(_Answer):
    """What the network saw of the image."""

    width: int = Field(description="Of the upright image, in pixels")
    height: int = Field(description="Of the upright image, in pixels")
    box: tuple[int, int, int, int] = Field(
        description="Left, top, right, bottom of what the network saw, in pixels of the upright "
        "image; reaches beyond it for `pad`"
    )


class PredictAnswer(_Answer):
    """The answer of `/predict`."""

    model: str
    model_sha256: str = Field(description="SHA-256 of the weights")
    predictions: list[ClassScore] = Field(description="The best classes, the best one first")
    image: ImageInfo


class Conservation(_Answer):
    """How much of the relevance at the output arrived at the input."""

    start: float = Field(description="Sum of the relevance at the output")
    arrived: float = Field(description="Sum of the relevance at the input")
    ratio: float | None = Field(
        description="`arrived / start`; null where the start is 0 or the method does not conserve"
    )


class RelevanceArray(_Answer):
    """Relevance as numbers."""

    shape: list[int]
    dtype: Literal["float32"]
    data: str | list[Any] = Field(
        description="Base64 of little-endian float32 in C order, or nested lists"
    )


class ExplainAnswer(PredictAnswer):
    """The answer of `/explain`."""

    target: ClassScore = Field(description="The class that was explained")
    method: dict[str, Any] = Field(description="Every parameter that was in effect")
    bound: float = Field(description="The absolute relevance that has the full colour")
    conservation: Conservation
    heatmap: str | None = Field(None, description="Base64 of a PNG")
    overlay: str | None = Field(None, description="Base64 of a PNG")
    relevance: RelevanceArray | None = None


class OptionProblemInfo(_Answer):
    """One option that is wrong."""

    option: str
    detail: str


class Problem(_Answer):
    """An error, as RFC 9457 says (`application/problem+json`)."""

    type: str = Field(description="Stable: `urn:lrpserve:problem:<name>`")
    title: str
    status: int
    detail: str = Field(description="What to do")
    request_id: str
    errors: list[OptionProblemInfo] | None = Field(None, description="The options that are wrong")


def inline_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a model, with what it refers to in place."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})

    def resolve(node: Any) -> Any:
        if isinstance(node, list):
            return [resolve(item) for item in node]
        if not isinstance(node, dict):
            return node
        name = str(node.get("$ref", "")).rpartition("/")[2]
        target = definitions.get(name, node)
        return {key: resolve(value) for key, value in target.items()}

    return {key: resolve(value) for key, value in schema.items()}


class ParameterInfo(_Answer):
    """A parameter of a composite."""

    name: str
    default: float | bool
    minimum: float | None
    maximum: float | None
    text: str


class CompositeInfo(_Answer):
    """A composite that can be asked for."""

    name: str
    text: str
    source: str
    conserves: bool
    parameters: list[ParameterInfo]


class AttributorInfo(_Answer):
    """An attributor that can be asked for."""

    name: str
    text: str
    source: str


class ModelInfo(_Answer):
    """A model that is loaded: its card, and what can be asked of it."""

    name: str
    architecture: str
    labels: list[str]
    input_size: tuple[int, int] = Field(description="Height and width, in pixels")
    mean: list[float]
    std: list[float]
    accuracy: dict[str, Any]
    provenance: dict[str, Any]
    sha256: str
    default: bool
    layers: list[str]
    composites: list[CompositeInfo]
    attributors: list[AttributorInfo]
    colormaps: dict[str, str]


class ModelList(_Answer):
    """The models that are loaded."""

    models: list[ModelInfo]


class Health(_Answer):
    """The state of the service."""

    status: Literal["ok", "starting", "ready", "draining", "broken"]
