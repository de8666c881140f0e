"""The schemas of the responses to several images."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from service.api.response.layer_schemas import LayersOfTargetsResponse, LayersResponse
from service.api.response.schemas import (
    ExplainResponse,
    PredictResponse,
    Problem,
    TargetsResponse,
)

_ORDER = "One per image, in their order: its response with `status`, or its problem"


class PredictResult(PredictResponse):
    """The response of `/predict` for one of several images."""

    status: Literal[200]


class ExplainResult(ExplainResponse):
    """The response of `/explain` for one of several images."""

    status: Literal[200]


class TargetsResult(TargetsResponse):
    """The response of `/explain` with `targets` for one of several images."""

    status: Literal[200]


class LayersResult(LayersResponse):
    """The response of `/explain` with `layers` for one of several images."""

    status: Literal[200]


class LayersOfTargetsResult(LayersOfTargetsResponse):
    """The response of `/explain` with `layers` and `targets` for one of several images."""

    status: Literal[200]


class PredictResults(BaseModel):
    """The response of `/predict` to several images."""

    model_config = ConfigDict(extra="forbid")

    results: list[PredictResult | Problem] = Field(description=_ORDER)


class ExplainResults(BaseModel):
    """The response of `/explain` to several images."""

    model_config = ConfigDict(extra="forbid")

    results: list[
        ExplainResult | TargetsResult | LayersResult | LayersOfTargetsResult | Problem
    ] = Field(description=_ORDER)
