"""The settings of the service: one frozen object, made at start-up and passed in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from service.errors import ServiceError

DEFAULT_MODEL = "minivgg-cifar10"
PREFIX = "LRPSERVE_"


class SettingsError(ServiceError):
    """A setting in the environment is wrong."""

    type = "settings-error"
    title = "A setting is wrong"


class Settings(BaseSettings):
    """Read from the environment: `device` is `LRPSERVE_DEVICE`, and so on."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    device: str = Field(
        "auto", description="`auto` (the GPU if there is one), `cpu`, `cuda` or `cuda:1`"
    )
    model: str = Field(
        DEFAULT_MODEL, description="Name of a model, or the path of a bundle's folder"
    )
    models: Path | None = Field(None, description="Folder whose sub-folders are models of your own")
    architectures: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Modules of your own that a bundle's architecture may name, comma-separated"
    )
    max_body_bytes: int = Field(10_000_000, gt=0, description="Larger request bodies get a 413")
    max_pixels: int = Field(
        40_000_000, gt=0, description="Images with more pixels get a 413 before they are decoded"
    )
    queue_size: int = Field(256, gt=0, description="Requests that may wait; more get a 429")
    deadline_s: float = Field(
        30.0, gt=0, allow_inf_nan=False, description="Seconds until a request gets a 504"
    )
    stall_s: float = Field(
        60.0,
        gt=0,
        allow_inf_nan=False,
        description="Seconds without any result, though requests wait, until it is not ready",
    )
    grace_s: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="Seconds that requests are still served after SIGTERM, while it is not ready",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Origins of pages that may call the service, comma-separated"
    )

    @field_validator("cors_origins", "architectures", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(",") if part.strip())

    @field_validator("models", mode="before")
    @classmethod
    def _leave_out(cls, value: object) -> object:
        return value or None  # an empty path would be the present folder


def load_settings(**given: str) -> Settings:
    """Make the settings from the environment; `given` ones take precedence.

    Raises
    ------
    SettingsError
        Names the variable that is wrong, and why.
    """
    try:
        return Settings(**given)  # type: ignore[arg-type]  # pydantic turns text into values
    except ValidationError as error:
        first = error.errors()[0]
        name = PREFIX + str(first["loc"][0]).upper()
        raise SettingsError(f"{name} is wrong: {first['msg']}") from None
