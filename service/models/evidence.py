"""Evidence in a model card: how faithful the explanations of each method are. Needs no torch."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_METHODS = 200

Name = Annotated[str, Field(min_length=1, max_length=100)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Score(_Frozen):
    """Mean of a measure over images, with its bootstrap interval of 95%."""

    mean: float
    low: float
    high: float
    n: int = Field(gt=0, description="Number of images")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.low > self.high:
            raise ValueError("low must be at most high")
        return self


class Measure(_Frozen):
    """What a measure says."""

    text: str = Field(description="What it is, in a sentence")
    higher_is_better: bool | None = Field(
        None, description="null where neither is better by itself"
    )


class Evidence(_Frozen):
    """Measures of the explanations of a model, made by `lrpserve advise` or by `training`."""

    data: str = Field(description="The images that it was measured on")
    n: int = Field(gt=0, description="Number of images, of the method with the most")
    decided_by: Name = Field(description="The measure by which the methods are ranked")
    measures: dict[Name, Measure] = Field(description="What each measure is, by name")
    methods: dict[Name, dict[Name, Score]] = Field(
        max_length=MAX_METHODS,
        description="Scores of each method and of each baseline, by name; the best first",
    )
    baselines: tuple[Name, ...] = Field(
        (), description="Of `methods`, the maps that know nothing of the network"
    )
    best: tuple[Name, ...] = Field(
        (),
        description="Of `methods`, the best and those that do not differ significantly from it: "
        "bootstrap over pairs, corrected for all comparisons",
    )
    settings: dict[str, Any] = Field(description="Patches, fills, shares, seeds: all by name")
    hardware: str
    versions: dict[str, str]
    measured_at: str = Field(description="UTC date, ISO 8601")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.decided_by not in self.measures:
            raise ValueError(f"measures must have {self.decided_by}, which decides")
        for name, scores in self.methods.items():
            if unknown := set(scores) - set(self.measures):
                raise ValueError(f"{name} has scores of unknown measures: {', '.join(unknown)}")
        for field in ("best", "baselines"):
            if unknown := set(getattr(self, field)) - set(self.methods):
                raise ValueError(f"{field} has unknown methods: {', '.join(unknown)}")
        return self


class DefaultMethod(_Frozen):
    """The method of requests that name neither a composite nor an attributor."""

    composite: str | None = Field(None, description="A composite of the service, or of this bundle")
    attributor: str | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.composite is None and self.attributor is None:
            raise ValueError("must have a composite, an attributor or both")
        return self

    def options(self) -> dict[str, str]:
        """What a request would have to say."""
        return self.model_dump(exclude_none=True)
