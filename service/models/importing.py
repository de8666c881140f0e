"""Import of networks that were trained elsewhere, as bundles."""

from __future__ import annotations

import hashlib
import platform
import re
import shlex
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch
import torchvision
from pydantic import ValidationError
from torch import Tensor, nn

from service import __version__
from service.errors import BundleError, OptionError
from service.models.architectures import build_empty, in_one_line
from service.models.bundles import WEIGHTS_FILE, Bundle, read_bundle, write_bundle
from service.models.card import (
    CARD_FILE,
    ImportedProvenance,
    ModelCard,
    check_name,
    first_problem,
    read_card,
)
from service.models.labels import number_repeated, read_labels
from service.models.normalization import normalize
from service.models.registry import SHIPPED, bundles_in
from service.models.weights import fit_weights, parse_weights

Channel = tuple[float, float, float]
GREY = 128  # pixel value


@dataclass(frozen=True)
class Source:
    """The files and numbers that a model is imported from.

    Attributes
    ----------
    name : str
        Name of the model.
    architecture : str
        As in `build`.
    weights, labels : Path
        Files, as in `parse_weights` and `parse_labels`.
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
class Imported:
    """An imported bundle, and notes for the user."""

    folder: Path
    card: ModelCard
    notes: list[str]

    def how_to_serve(self) -> str:
        """The shell command that serves it."""
        values = {"MODELS": str(self.folder.parent), "MODEL": self.card.name}
        module, colon, _ = self.card.architecture.partition(":")
        if colon:
            values["ARCHITECTURES"] = module
        given = " ".join(f"LRPSERVE_{key}={shlex.quote(value)}" for key, value in values.items())
        return f"{given} make serve"


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


def import_model(
    source: Source,
    folder: Path,
    *,
    allowed_modules: Sequence[str] = (),
    force: bool = False,
    verify: Callable[[Bundle], None] = lambda _: None,
) -> Imported:
    """Import a model as a bundle, atomically: a failure leaves nothing behind.

    Parameters
    ----------
    source : Source
        Files and numbers of the model.
    folder : Path
        Folder of models, created if missing; the bundle is its sub-folder with the model's name.
    allowed_modules : sequence of str
        As in `build`.
    force : bool
        Whether to replace a bundle of that name.
    verify : callable
        Called with the bundle as it was read back; raises a `ServiceError` to refuse it.

    Raises
    ------
    BundleError
        A file cannot be read, weights do not fit, or the bundle exists already.
    """
    target = folder / source.name
    _check_place(source.name, target, force)
    labels, notes = number_repeated(read_labels(source.labels))
    content = _read(source.weights)
    card = _make_card(source, labels, hashlib.sha256(content).hexdigest())
    model = build_empty(card.architecture, len(labels), allowed_modules)
    what = (
        f"the weights in {source.weights} do not fit {card.architecture} with {len(labels)} classes"
    )
    found = parse_weights(content, source.weights.name)
    model.load_state_dict(fit_weights(found, model.state_dict(), what), assign=True)
    try:
        with tempfile.TemporaryDirectory(dir=_nearest(folder), prefix=".lrpserve-") as staging:
            made = Path(staging) / "new"
            written = write_bundle(made, card, model)
            bundle = read_bundle(made, allowed_modules)
            _check_forward(bundle)
            verify(bundle)
            _move(made, target)
    except OSError as error:
        raise BundleError(f"cannot write {target}: {error.strerror}") from error
    return Imported(target, written, notes)


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


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"the weights {path} cannot be read: {error.strerror}") from error


def _make_card(source: Source, labels: tuple[str, ...], sha256: str) -> ModelCard:
    """Make the card, with the `sha256` of the source until the weights are written."""
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
                source_sha256=sha256,
                data=source.data,
                imported_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                versions=_versions(),
            ),
            sha256=sha256,
        )
    except ValidationError as error:
        raise BundleError(f"the model cannot be: {first_problem(error)}") from error


def _versions() -> dict[str, str]:
    return {
        "lrpserve": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
    }


def _check_forward(bundle: Bundle) -> None:
    """Run the network on a grey image, and check its logits."""
    card = bundle.card
    pixels = torch.full((1, *card.input_size, 3), GREY, dtype=torch.uint8)
    grey = normalize(pixels, card.mean, card.std).contiguous()
    shown = f"{card.architecture}, shown a grey image of {card.input_size},"
    try:
        with torch.inference_mode():
            logits = bundle.model(grey)
    except Exception as error:  # the user's code may raise anything
        raise BundleError(f"{shown} fails with {in_one_line(error)}") from error
    expected = (1, len(card.labels))
    if not isinstance(logits, Tensor) or logits.shape != expected:
        found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise BundleError(f"{shown} has to give a tensor of logits of {expected}, not {found}")
    if not logits.isfinite().all():
        _check_beside_another(bundle.model, grey, shown)
        raise BundleError(f"{shown} gives logits that are not finite: are mean and std right?")


def _check_beside_another(model: nn.Module, image: Tensor, shown: str) -> None:
    """Refuse a network whose logits are finite in a batch only, as if it normalizes over that."""
    is_finite = False
    with suppress(Exception), torch.inference_mode():  # the user's code may raise anything
        is_finite = bool(model(torch.cat((image, image + 1))).isfinite().all())
    if is_finite:
        raise BundleError(
            f"{shown} gives logits that are finite beside another image, but not alone: its "
            "answers may not depend on the other images of a batch"
        )


def _nearest(folder: Path) -> Path:
    """The folder or its nearest existing parent: on the same disk, so that renaming works."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def _move(made: Path, target: Path) -> None:
    """Replace `target` with the folder `made`, and restore it if that fails."""
    old = made.with_name("old")
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        target.rename(old)
    try:
        made.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
