"""Import of networks that were trained elsewhere, as bundles."""

from __future__ import annotations

import hashlib
import platform
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn

from service import __version__
from service.errors import BundleError
from service.files import read_file
from service.models.architectures import build_empty, in_one_line
from service.models.bundles import Bundle, read_bundle, write_bundle
from service.models.card import ModelCard
from service.models.normalization import normalize
from service.models.source import Source, check_source
from service.models.weights import fit_weights, parse_weights

GREY = 128  # pixel value
MAX_OTHER_BYTES = 2**26  # of a checkpoint, beside values of the network's size


@dataclass(frozen=True)
class Imported:
    """An imported bundle, and notes for the user."""

    folder: Path
    card: ModelCard
    notes: list[str]


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
    checked = check_source(source, folder, allowed_modules=allowed_modules, force=force)
    n_classes = len(checked.card.labels)
    model = build_empty(source.architecture, n_classes, allowed_modules)
    content = _read(source.weights, model)
    card = _with_hash(checked.card, content)
    what = (
        f"the weights in {source.weights} do not fit {card.architecture} with {n_classes} classes"
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
    return Imported(target, written, checked.notes)


def _read(path: Path, model: nn.Module) -> bytes:
    """Read a file of weights, and of what checkpoints hold beside them: five values for each."""
    n_values = sum(tensor.numel() for tensor in model.state_dict().values())
    try:
        return read_file(path, MAX_OTHER_BYTES + 5 * 8 * n_values)
    except OSError as error:
        raise BundleError(f"the weights {path} cannot be read: {error.strerror}") from error


def _with_hash(card: ModelCard, content: bytes) -> ModelCard:
    """Complete a card, with the hash of the source until the weights are written."""
    sha256 = hashlib.sha256(content).hexdigest()
    provenance = card.provenance.model_copy(
        update={"source_sha256": sha256, "versions": _versions()}
    )
    return card.model_copy(update={"provenance": provenance, "sha256": sha256})


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
