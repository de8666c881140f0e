"""What a model is imported from: files and numbers, checked before torch is loaded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from service.errors import BundleError, OptionError
from service.models.builtin import LAST_LAYERS, check_architecture
from service.models.card import (
    CARD_FILE,
    WEIGHTS_FILE,
    ImportedProvenance,
    ModelCard,
    check_name,
    first_problem,
    read_card,
)
from service.models.labels import number_repeated, read_labels
from service.models.registry import SHIPPED, bundles_in
from service.models.weights_header import check_weights_file, count_rows

Channel = tuple[float, float, float]
NO_SHA256 = "0" * 64  # until the weights are read


@dataclass(frozen=True)
class Source:
    """The files and numbers that a model is imported from.

    Attributes
    ----------
    name : str
        Name of the model.
    architecture : str
        As in `check_architecture`.
    weights, labels : Path
        Files, as in `check_weights_file` and `parse_labels`.
    mean, std : tuple of 3 float
        Normalization of RGB values in [0, 1].
    input_size : tuple of 2 int
        Height and width, in pixels.
    resize : int or None
        As in `ModelCard`.
    data : str
        Description of the training data.
    """

    name: str
    architecture: str
    weights: Path
    labels: Path
    mean: Channel
    std: Channel
    input_size: tuple[int, int]
    resize: int | None = None
    data: str = "unknown"


@dataclass(frozen=True)
class CheckedSource:
    """A card without hashes and versions, and notes for the user about its labels."""

    card: ModelCard
    notes: list[str]


def parse_channels(option: str, text: str) -> Channel:
    """Parse `0.485,0.456,0.406`: values for red, green and blue.

    Raises
    ------
    OptionError
        These are not three numbers from 0 to 1. Values for pixels in 0 to 255 are refused too: with
        them a network only gets less accurate, which nobody would notice.
    """
    with suppress(ValueError):
        values = [float(part) for part in text.split(",")]
        if all(0 <= value <= 1 for value in values):  # NaN is not
            red, green, blue = values
            return (red, green, blue)
    raise OptionError.of(
        option,
        f"{text!r} has to be three numbers from 0 to 1, for red, green and blue, as in "
        "0.485,0.456,0.406; divide those of pixels from 0 to 255 by 255",
    )


def parse_size(text: str) -> tuple[int, int]:
    """Parse `224` or `192x256`: height and width in pixels.

    Raises
    ------
    OptionError
        The text is neither.
    """
    found = re.fullmatch(r"([0-9]{1,4})(?:x([0-9]{1,4}))?", text)
    if found is None:
        raise OptionError.of("size", f"{text!r} has to be as in 224, or 192x256 (height x width)")
    return (int(found[1]), int(found[2] or found[1]))


def check_source(
    source: Source, folder: Path, *, allowed_modules: Sequence[str] = (), force: bool = False
) -> CheckedSource:
    """Check all that can be known of a model without torch.

    Parameters
    ----------
    source : Source
        Files and numbers of the model.
    folder : Path
        Folder of models; the bundle is to be its sub-folder with the model's name.
    allowed_modules : sequence of str
        As in `check_architecture`.
    force : bool
        Whether a bundle of that name may be replaced.

    Raises
    ------
    BundleError
        The name is invalid or taken, a file cannot be read, or its content does not fit.
    """
    _check_place(source.name, folder / source.name, force)
    check_architecture(source.architecture, allowed_modules)
    labels, notes = number_repeated(read_labels(source.labels))
    card = _make_card(source, labels)
    check_weights_file(source.weights)
    _check_number_of_labels(source, len(labels))
    return CheckedSource(card, notes)


def _check_place(name: str, target: Path, force: bool) -> None:
    """Check that the name is free, and that only a bundle would be replaced."""
    check_name(name)
    neighbours = [
        *bundles_in(SHIPPED),
        *(bundles_in(target.parent) if target.parent.exists() else []),
    ]
    for other in neighbours:
        if other != target and read_card(other).name == name:
            raise BundleError(f"the name {name!r} is that of {other}: choose another")
    if not target.exists():
        return
    if not force:
        raise BundleError(f"{target} is there already: choose another name, or add --force")
    files = {path.name for path in target.iterdir()} if target.is_dir() else {""}
    if not files <= {WEIGHTS_FILE, CARD_FILE}:
        raise BundleError(f"{target} holds other files than a bundle's: move them elsewhere")


def _make_card(source: Source, labels: tuple[str, ...]) -> ModelCard:
    try:
        return ModelCard(
            name=source.name,
            architecture=source.architecture,
            labels=labels,
            input_size=source.input_size,
            resize=source.resize,
            mean=source.mean,
            std=source.std,
            provenance=ImportedProvenance(
                source=source.weights.name,
                source_sha256=NO_SHA256,
                data=source.data,
                imported_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                versions={},
            ),
            sha256=NO_SHA256,
        )
    except ValidationError as error:
        raise BundleError(f"the model cannot be: {first_problem(error)}") from error


def _check_number_of_labels(source: Source, n_labels: int) -> None:
    """Compare the labels with the rows of the last layer, where its name is known."""
    layer = LAST_LAYERS.get(source.architecture)
    numbers = count_rows(source.weights, layer) if layer else set()
    if numbers and n_labels not in numbers:
        raise BundleError(
            f"{source.labels} has {n_labels} labels, but {source.weights} has weights for "
            f"{max(numbers)} classes ({layer}.weight)"
        )
