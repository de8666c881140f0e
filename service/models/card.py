"""The model card: schema of `model.json` in a bundle. Needs no torch."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from service import strict_json
from service.errors import BundleError, OptionError
from service.files import read_file
from service.methods import (
    ATTRIBUTORS,
    COMPOSITES,
    CUSTOM,
    DEFAULT_ATTRIBUTOR,
    Rules,
    make_method,
    parse_rules,
)
from service.models.evidence import DefaultMethod, Evidence
from service.models.labels import MAX_LABELS
from service.models.measures import Accuracy, Confusion, Epoch, accuracy_of

CARD_FILE = "model.json"
WEIGHTS_FILE = "model.safetensors"
MAX_BYTES = 2**23

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
ModelName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
_COMPOSITE_NAME = r"[a-z][a-z0-9_-]{0,63}"
_ROUNDING = 1e-6
Channel = Annotated[tuple[float, float, float], Field(description="One value for R, G and B")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Provenance(_Frozen):
    """Provenance of weights that were trained with `training`."""

    recipe: dict[str, Any] = Field(description="The training recipe, each value by its name")
    data: str = Field(description="The data the network was trained and measured on")
    seed: int
    hardware: str
    versions: dict[str, str]
    images_per_s: float = Field(ge=0, description="Measured training speed, images per second")
    trained_at: str = Field(description="UTC date of the end of training, ISO 8601")


class ImportedProvenance(_Frozen):
    """Provenance of weights that were trained elsewhere and imported."""

    source: str = Field(pattern=r"^[^/\\]+$", description="Name of the file, without its folder")
    source_sha256: Sha256 = Field(description="SHA-256 of that file")
    data: str = Field("unknown", description="The data the network was trained on")
    imported_at: str = Field(description="UTC date of the import, ISO 8601")
    versions: dict[str, str]


_PROVENANCES = ("trained", "imported")


def _kind_of_provenance(value: Any) -> str:
    if isinstance(value, dict):
        return "imported" if "imported_at" in value else "trained"
    return "imported" if isinstance(value, ImportedProvenance) else "trained"


AnyProvenance = Annotated[
    Annotated[Provenance, Tag("trained")] | Annotated[ImportedProvenance, Tag("imported")],
    Discriminator(_kind_of_provenance),
]


class ModelCard(_Frozen):
    """The description of a model: classes, input, measurements and provenance.

    `mean` and `std` apply to RGB values in [0, 1]: the input is `(pixel / 255 - mean) / std`.
    With `fit=crop` the image's shorter side is resized to `resize`, and its centre of `input_size`
    is cut out; without `resize`, as little as possible is cut off.
    """

    name: ModelName
    architecture: str
    labels: tuple[str, ...] = Field(min_length=2, max_length=MAX_LABELS)
    input_size: tuple[Annotated[int, Field(gt=0, le=4096)], Annotated[int, Field(gt=0, le=4096)]]
    resize: int | None = Field(None, gt=0, le=65536, description="The shorter side, in pixels")
    mean: Channel
    std: Channel
    accuracy: dict[str, Accuracy] = Field(
        default_factory=dict, description="By split: `validation` and `test`; may be empty"
    )
    confusion: dict[str, Confusion] = Field(
        default_factory=dict,
        description="By split: number of images by true class (row) and predicted class (column)",
    )
    history: tuple[Epoch, ...] = Field((), description="How the training went, epoch by epoch")
    provenance: AnyProvenance
    sha256: Sha256 = Field(description="SHA-256 of `model.safetensors`")
    composites: dict[str, list[dict[str, Any]]] = Field(
        default_factory=dict, description="Composites for this network, by name: lists of rules"
    )
    default_method: DefaultMethod | None = Field(
        None,
        description="The method of requests that name neither a composite nor an attributor; "
        "`lrpserve advise` finds it",
    )
    evidence: Evidence | None = Field(
        None, description="How faithful the explanations of each method are, as it was measured"
    )

    @model_validator(mode="after")
    def _check(self) -> ModelCard:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels must be different from each other")
        if min(self.std) <= 0:
            raise ValueError("std must be above 0")
        if self.resize is not None and self.resize < max(self.input_size):
            raise ValueError("resize must be at least as large as both sides of input_size")
        for split, matrix in self.confusion.items():
            self._check_confusion(split, matrix)
        self._check_default_method()
        return self

    def _check_confusion(self, split: str, matrix: Confusion) -> None:
        if len(matrix) != len(self.labels):
            raise ValueError(f"confusion of {split} must have a row for each label")
        told, counted = self.accuracy.get(split), accuracy_of(matrix)
        if told and (told.n != counted.n or abs(told.accuracy - counted.accuracy) > _ROUNDING):
            raise ValueError(
                f"confusion of {split} says {counted.accuracy:.4f} of {counted.n} images, "
                f"accuracy says {told.accuracy:.4f} of {told.n}"
            )

    def _check_default_method(self) -> None:
        if (default := self.default_method) is None:
            return
        attributor = default.attributor or DEFAULT_ATTRIBUTOR
        if attributor not in ATTRIBUTORS:
            raise ValueError(_unknown_default("attributor", attributor, ATTRIBUTORS))
        composites = (*COMPOSITES, *self.composites)
        if default.composite is not None and default.composite not in composites:
            raise ValueError(_unknown_default("composite", default.composite, composites))
        try:
            make_method(
                *(default.composite, attributor, {}),
                input_size=self.input_size,
                own=self.own_composites,
            )
        except OptionError as error:
            problem = error.problems[0]
            raise ValueError(f"default_method: {problem.option} {problem.detail}") from None

    @field_validator("composites")
    @classmethod
    def _check_composites(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name, rules in value.items():
            if name in (*COMPOSITES, CUSTOM) or not re.fullmatch(_COMPOSITE_NAME, name):
                raise ValueError(
                    f"a composite cannot have the name {name!r}: use up to 64 of a-z, 0-9, '_' and "
                    "'-', begin with a letter, and take no name that the service has"
                )
            try:
                parse_rules(rules)
            except OptionError as error:
                raise ValueError(f"{name}: {error.problems[0].detail}") from None
        return value

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the whole card: weights, labels and normalization matter for what it says."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy the card, but not its digest."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("digest", None)
        return copied

    @property
    def own_composites(self) -> dict[str, Rules]:
        """The composites of the bundle, parsed."""
        return {name: parse_rules(rules) for name, rules in self.composites.items()}


def _unknown_default(kind: str, name: str, known: Iterable[str]) -> str:
    return (
        f"default_method has an unknown {kind}, {name[:64]!r}: it must be one of "
        f"{', '.join(known)}; or remove default_method"
    )


def check_name(name: str) -> None:
    """Check the name of a model.

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


def read_card(folder: Path, name: str | None = None) -> ModelCard:
    """Read `model.json` of a bundle.

    Parameters
    ----------
    folder : Path
        The bundle.
    name : str, optional
        Name of the model in place of the card's: that under which it is served.

    Raises
    ------
    BundleError
        The folder or the file is missing, or the card is invalid.
    """
    path = folder / CARD_FILE
    if not folder.is_dir():
        raise BundleError(f"there is no bundle at {folder}: it is not a folder")
    try:
        content = read_file(path, MAX_BYTES)
        strict_json.loads(content)  # pydantic would take the last one of repeated names
        card = ModelCard.model_validate_json(content)
        return card if name is None else card.model_copy(update={"name": name})
    except FileNotFoundError:
        raise BundleError(f"the bundle {folder} has no {CARD_FILE}") from None
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise BundleError(f"{path} is not a valid card: {first_problem(error)}") from error
    except ValueError as error:
        raise BundleError(f"{path} is not a valid card: {error}") from error


def write_card(folder: Path, card: ModelCard) -> None:
    """Write `model.json` of a bundle; fields with default values are left out."""
    fields = card.model_dump_json(indent=1, exclude_defaults=True)
    new = folder / f".{CARD_FILE}.new"
    new.write_text(f"{fields}\n", encoding="utf-8")
    new.replace(folder / CARD_FILE)  # in one step: a server may read it now


def first_problem(error: ValidationError) -> str:
    """The first validation error of a card: the field, and the reason."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part not in _PROVENANCES)
    return f"{where or 'the card'}: {first['msg']}"
