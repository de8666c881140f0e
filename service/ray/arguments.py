"""Arguments of the Ray Serve application, and what follows from them for its replicas."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from service.errors import ServiceError, join_names
from service.settings import Settings, load_settings

_TARGET_ONGOING_REQUESTS = 16.0  # that keep one device busy


class ArgumentError(ServiceError):
    """An argument of the application is invalid."""

    type = "argument-error"
    title = "An argument is invalid"


class RayArguments(BaseModel):
    """Arguments of `serve run service.ray:build name=value ...`, and of `lrpserve ray`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = Field(
        None, description="Name of the default model, or the path of its bundle (LRPSERVE_MODEL)"
    )
    models: str | None = Field(
        None, description="Folder whose sub-folders are bundles of your own (LRPSERVE_MODELS)"
    )
    num_replicas: PositiveInt | None = Field(
        None, description="Number of replicas (1); not with max_replicas"
    )
    num_cpus: NonNegativeFloat = Field(
        1.0, description="CPUs that Ray reserves for a replica, and threads that it computes with"
    )
    num_gpus: NonNegativeFloat = Field(
        0.0, description="GPUs of a replica: 0 computes on the CPU, 0.5 shares a GPU between two"
    )
    min_replicas: PositiveInt | None = Field(
        None, description="Smallest number of replicas with autoscaling (1)"
    )
    max_replicas: PositiveInt | None = Field(
        None, description="Largest number of replicas; it turns autoscaling on"
    )
    target_ongoing_requests: PositiveFloat | None = Field(
        None, description="Requests in progress for each replica that autoscaling aims at (16)"
    )
    upscale_delay_s: NonNegativeFloat | None = Field(
        None, description="Seconds of too much load until replicas are added (30)"
    )
    downscale_delay_s: NonNegativeFloat | None = Field(
        None, description="Seconds of too little load until replicas are removed (600)"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.num_gpus > 1 and self.num_gpus % 1:
            raise ValueError("num_gpus above 1 must be a whole number")
        if self.max_replicas is None:
            self._refuse("needs max_replicas", *_AUTOSCALING)
        else:
            self._refuse("cannot be combined with max_replicas", "num_replicas")
            if (self.min_replicas or 1) > self.max_replicas:
                raise ValueError("min_replicas must be at most max_replicas")
        return self

    def _refuse(self, why: str, *names: str) -> None:
        given = [name for name in names if getattr(self, name) is not None]
        if given:
            raise ValueError(f"{given[0]} {why}")

    def autoscaling(self) -> dict[str, float] | None:
        """The autoscaling configuration of Ray Serve; None for a fixed number of replicas."""
        if self.max_replicas is None:
            return None
        given = {name: getattr(self, name) for name in _AUTOSCALING}
        defaults = {"min_replicas": 1, "target_ongoing_requests": _TARGET_ONGOING_REQUESTS}
        chosen = {name: value for name, value in given.items() if value is not None}
        return {**defaults, **chosen, "max_replicas": self.max_replicas}

    def settings(self) -> Settings:
        """Settings of each replica: from the environment, with the arguments in front.

        Raises
        ------
        SettingsError
            A variable of the environment is invalid.
        """
        given = {"model": self.model, "models": self.models}
        settings = load_settings(**{name: text for name, text in given.items() if text is not None})
        return reserved_device(settings, self.num_gpus)


_AUTOSCALING = ("min_replicas", "target_ongoing_requests", "upscale_delay_s", "downscale_delay_s")


def reserved_device(settings: Settings, num_gpus: float) -> Settings:
    """Settings of one process on Ray: `auto` becomes the GPUs that Ray reserves, or the CPU."""
    device = settings.device
    if device == "auto":
        device = ",".join(f"cuda:{n}" for n in range(math.ceil(num_gpus))) or "cpu"
    return settings.model_copy(update={"device": device, "workers": 1})


def read_arguments(given: Mapping[str, Any]) -> RayArguments:
    """Validate arguments, whose values may be text.

    Raises
    ------
    ArgumentError
        One is unknown or invalid; the message says what is allowed.
    """
    try:
        return RayArguments.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
    name, reason = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        reason = f"is unknown: there are {join_names(RayArguments.model_fields)}"
    raise ArgumentError(f"{name}: {reason}" if name else reason) from None
