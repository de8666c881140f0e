"""The card of a model: what `model.json` in a bundle says. Needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from service.errors import BundleError

CARD_FILE = "model.json"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
ModelName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Channel = Annotated[tuple[float, float, float], Field(description="One value for R, G and B")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Accuracy(_Frozen):
    """The share of images that were classified right."""

    accuracy: float = Field(ge=0, le=1, description="Share of right predictions, 0 to 1")
    n: int = Field(gt=0, description="Number of images")


class Provenance(_Frozen):
    """How the weights came to be."""

    recipe: dict[str, Any] = Field(description="The training recipe, each value by its name")
    data: str = Field(description="The data the network was trained and measured on")
    seed: int
    hardware: str
    versions: dict[str, str]
    images_per_s: float = Field(ge=0, description="Measured training speed, images per second")
    trained_at: str = Field(description="UTC date of the end of training, ISO 8601")


class ModelCard(_Frozen):
    """Everything about a model but its weights.

    `mean` and `std` are of RGB values in [0, 1]: the network sees `(pixel / 255 - mean) / std`.
    """

    name: ModelName
    architecture: str
    labels: tuple[str, ...] = Field(min_length=2)
    input_size: tuple[Annotated[int, Field(gt=0, le=4096)], Annotated[int, Field(gt=0, le=4096)]]
    mean: Channel
    std: Channel
    accuracy: dict[str, Accuracy] = Field(description="By split: `validation` and `test`")
    provenance: Provenance
    sha256: Sha256 = Field(description="SHA-256 of `model.safetensors`")

    @model_validator(mode="after")
    def _check(self) -> ModelCard:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels must be different from each other")
        if min(self.std) <= 0:
            raise ValueError("std must be above 0")
        return self


def check_name(name: str) -> None:
    """Refuse what cannot be a model's name.

    Raises
    ------
    BundleError
        It has other than lower-case letters, digits, dots, dashes and underscores.
    """
    try:
        TypeAdapter(ModelName).validate_python(name)
    except ValidationError:
        raise BundleError(
            f"{name!r} cannot be a model's name: use up to 64 of a-z, 0-9, '.', '_' and '-', "
            "and begin with a letter or a digit"
        ) from None


def read_card(folder: Path) -> ModelCard:
    """Read `model.json` of a bundle.

    Raises
    ------
    BundleError
        The folder or the file is not there, or says something that cannot be.
    """
    path = folder / CARD_FILE
    if not folder.is_dir():
        raise BundleError(f"there is no bundle at {folder}: it is not a folder")
    try:
        return ModelCard.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise BundleError(f"the bundle {folder} has no {CARD_FILE}") from None
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise BundleError(f"{path} is not a valid card: {where}: {first['msg']}") from error
