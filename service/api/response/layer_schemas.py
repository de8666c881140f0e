"""The schemas of the response to `/explain` with `layers`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from service.api.response.schemas import Account, ClassScore, Explained, RelevanceArray


class ExplainedLayer(BaseModel):
    """The relevance at a layer."""

    model_config = ConfigDict(extra="forbid")

    layer: str
    bound: float = Field(description="The absolute relevance that gets the full colour")
    conservation: Account
    heatmap: str | None = Field(
        None, description="PNG in base64; left out where there are no rows and columns"
    )
    overlay: str | None = Field(None, description="PNG in base64; left out likewise")
    relevance: RelevanceArray | None = None


class ExplainedLayers(BaseModel):
    """The explanation of a target at several layers."""

    model_config = ConfigDict(extra="forbid")

    target: ClassScore = Field(description="The explained class")
    layers: list[ExplainedLayer] = Field(description="In the order of `/models`, the last first")


class LayersResponse(ExplainedLayers, Explained):
    """The response of `/explain` with `layers`."""


class LayersOfTargetsResponse(Explained):
    """The response of `/explain` with `layers` and `targets`."""

    explanations: list[ExplainedLayers] = Field(
        description="One per target, in the order of `targets`"
    )
