"""Settings of the service, from environment variables: one frozen object."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from service.api_keys import read_key
from service.errors import ServiceError
from service.origins import read_origin
from service.rate_limit_settings import check_limits, read_storage

DEFAULT_MODEL = "minivgg-cifar10"
PREFIX = "LRPSERVE_"

RateLimitFail = Literal["open", "closed"]
_ROOT_PATH = re.compile(r"(/[\w.~-]+)+", re.ASCII)


class SettingsError(ServiceError):
    """A setting is invalid."""

    type = "settings-error"
    title = "A setting is invalid"


class Settings(BaseSettings):
    """Settings; `device` is read from `LRPSERVE_DEVICE`, and so on."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True
    )

    device: str = Field(
        "auto",
        description="`auto` (the GPU if there is one), `cpu` or `cuda`; several: `cuda:0,cuda:1`",
    )
    workers: int = Field(
        1,
        ge=1,
        le=256,
        description="Worker processes, each with a copy of the models; for CPUs",
    )
    model: str = Field(
        DEFAULT_MODEL, description="Name of the default model, or the path of its bundle"
    )
    model_name: str | None = Field(
        None, description="Name under which the default model is served; else that in its card"
    )
    models: Path | None = Field(
        None, description="Folder whose sub-folders are bundles of your own"
    )
    model_control: Literal["keys", "open", "off"] = Field(
        "keys",
        description="Who may load, reload and unload models: `keys` (with an API key; without "
        "LRPSERVE_API_KEYS nobody), `open` (everybody who reaches the port) or `off` (nobody)",
    )
    watch_s: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="Seconds between two looks for bundles that were replaced or added, which are "
        "then loaded; 0 turns it off",
    )
    architectures: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Modules of your own with architectures that bundles may use, comma-separated",
    )
    max_body_bytes: int = Field(10_000_000, gt=0, description="Larger request bodies get a 413")
    max_bodies_bytes: int = Field(
        256_000_000,
        gt=0,
        description="Bytes of all request bodies that each worker holds at once, at least those "
        "of one; beyond, the slowest of those that are being received get a 503",
    )
    max_connections: int = Field(
        16_384,
        gt=0,
        description="Connections that each worker keeps open; beyond, the one that has sent no "
        "whole request for the longest is closed",
    )
    max_pixels: int = Field(
        40_000_000, gt=0, description="Images with more pixels get a 413 before they are decoded"
    )
    max_picture_pixels: int = Field(
        1 << 24,
        ge=1 << 16,
        description="Pixels of all pictures that a response may have, such as four of 2048 x 2048; "
        "a request for more gets a 422 that says what to lower",
    )
    max_images: int = Field(
        32, gt=0, description="Images that one request may have; a request with more gets a 413"
    )
    decode_pixels: int = Field(
        320_000_000,
        gt=0,
        description="Pixels of large images that may be decoded, or wait for it, at once in each "
        "worker; more get a 503",
    )
    max_batch_size: int | None = Field(
        None, gt=0, description="Upper bound on the batch size, which is measured at start-up"
    )
    max_passes: int = Field(
        1280,
        gt=0,
        description="Passes through the network that one request may take: samples times targets, "
        "or windows of occlusion, and 75 or more for `evidence`; more get a 422",
    )
    queue_size: int = Field(
        256,
        gt=0,
        description="Requests that may wait; others get a 429. In a full queue, a client that has "
        "fewer requests displaces one of the client that has the most",
    )
    deadline_s: float = Field(
        30.0,
        gt=0,
        allow_inf_nan=False,
        description="Seconds from the head of a request until it gets a 504",
    )
    receive_s: float = Field(
        30.0,
        gt=0,
        allow_inf_nan=False,
        description="Seconds that a client has to send a request, and to receive the response",
    )
    stall_s: float = Field(
        60.0,
        gt=0,
        allow_inf_nan=False,
        description="Seconds that a batch may run until the service is not ready",
    )
    hang_s: float = Field(
        30.0,
        gt=0,
        allow_inf_nan=False,
        description="Seconds without a heartbeat until a worker process is replaced; the service "
        "is not ready after a third of them, and a worker that loads has ten times as long",
    )
    grace_s: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="Seconds to go on serving after SIGTERM, while `/readyz` says not ready",
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="Format of the log: `text`, or `json` with one object per line"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info",
        description="Lowest level that is logged; with `warning` there is no line for each request",
    )
    grpc_port: int | None = Field(
        None,
        ge=1,
        le=65_535,
        description="Port of the Open Inference Protocol over gRPC, on the addresses of HTTP",
    )
    root_path: str = Field(
        "",
        description="Path under which a proxy serves the service, such as `/lrp`, whether it "
        "strips the path or not",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Origins of web pages that may call the service (CORS), comma-separated: "
        "`https://page.example`",
    )
    api_keys: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="API keys, or their hashes, comma-separated; only hashes are kept"
    )
    rate_limit: str | None = Field(
        None, description="Requests that each API key may send: `100/minute`, `10/second;1000/hour`"
    )
    rate_limit_storage: SecretStr | None = Field(
        None,
        description="Storage of the rate limit: `redis://HOST:PORT/0` for one limit over all "
        "workers and replicas; by default each worker counts in its own memory",
    )
    rate_limit_fail: RateLimitFail = Field(
        "open",
        description="While the storage cannot be reached: `open` serves requests without a rate "
        "limit (the queue still bounds the load), `closed` responds with a 503",
    )
    cache_bytes: int = Field(
        0, ge=0, description="Size of the response cache of each worker, in bytes; 0 turns it off"
    )
    tls_cert: Path | None = Field(
        None,
        description="Certificate with its chain, a PEM file: serves HTTPS. It is read again when "
        "it changes",
    )
    tls_key: Path | None = Field(
        None, description="Its key, a PEM file; by default it is in the file of the certificate"
    )
    tls_key_password: SecretStr | None = Field(None, description="Password of the key, if any")
    commit: str | None = Field(
        None, description="Git commit of the build, for `/version`; the container image has it"
    )

    @field_validator("cors_origins", "architectures", "api_keys", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(",") if part.strip())

    @property
    def devices(self) -> tuple[str, ...]:
        """Names of the devices; commands without a server use the first."""
        return tuple(part.strip() for part in self.device.split(",") if part.strip()) or ("auto",)

    @field_validator(
        *(
            "model_name",
            "models",
            "max_batch_size",
            "grpc_port",
            "rate_limit",
            "rate_limit_storage",
            "tls_cert",
            "tls_key",
            "tls_key_password",
        ),
        mode="before",
    )
    @classmethod
    def _leave_out(cls, value: object) -> object:
        return value or None  # an empty path would be the current folder

    @field_validator("grpc_port")
    @classmethod
    def _check_grpc(cls, value: int | None) -> int | None:
        if value is not None and find_spec("grpc") is None:
            raise ValueError("needs gRPC: pip install 'lrpserve[grpc]'")
        return value

    @field_validator("api_keys")
    @classmethod
    def _hash(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(read_key(text) for text in value))

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(read_origin(text) for text in value)

    @field_validator("root_path")
    @classmethod
    def _check_root_path(cls, value: str) -> str:
        value = value.strip().rstrip("/")
        if value and not _ROOT_PATH.fullmatch(value):
            raise ValueError("must be a path like /lrp")
        return value

    @field_validator("rate_limit")
    @classmethod
    def _check_rate_limit(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return value
        check_limits(value)
        if not info.data.get("api_keys", True):
            raise ValueError(f"rate limits are per API key: set {PREFIX}API_KEYS too")
        return value

    @field_validator("tls_key")
    @classmethod
    def _check_key(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is not None and info.data.get("tls_cert", value) is None:
            raise ValueError(f"is the key of a certificate: set {PREFIX}TLS_CERT too")
        return value

    @field_validator("rate_limit_storage")
    @classmethod
    def _check_storage(cls, value: SecretStr | None) -> SecretStr | None:
        return None if value is None else SecretStr(read_storage(value.get_secret_value()))


def load_settings(**overrides: str) -> Settings:
    """Load the settings from the environment; the arguments take precedence.

    Raises
    ------
    SettingsError
        A variable is invalid; the message has its name and the reason.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # pydantic turns text into values
    except ValidationError as error:
        first = error.errors()[0]
        name = PREFIX + str(first["loc"][0]).upper()
        reason = first["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{name} is wrong: {reason}") from None
