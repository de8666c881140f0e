"""`lrpserve predict` and `explain`: image files without a server, with the same results."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from service.api.request.image import Pictures, load_picture
from service.api.request.options import ExplainOptions, PredictOptions, parse_options
from service.api.request.resolved import resolve_explain
from service.api.response.explanation import ExplanationRenderer
from service.api.response.scores import predict_fields
from service.errors import NotAnImage, OptionError, ServiceError
from service.imaging.decode import EncodedImage
from service.imaging.fit import FittedImage
from service.models.card import read_card
from service.models.registry import find_bundle
from service.runtime.engines import load_engines
from service.settings import Settings
from service.terminal import print_line, print_table


class OutputError(ServiceError):
    """The results cannot be written."""

    type = "output-error"
    title = "The results cannot be written"


class Offline:
    """An engine in this process, on the first device of the settings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        folder = find_bundle(settings.model, settings.models)
        self.card = read_card(folder)
        models = {self.card.name: folder}
        engines = load_engines(models, settings.devices[0], settings.architectures)
        self.engine = engines[self.card.name]

    def load(self, path: Path, options: PredictOptions) -> tuple[FittedImage, Pictures | None]:
        """Read an image file and fit it to the network."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise NotAnImage(f"the file cannot be read: {error.strerror}") from error
        return load_picture(EncodedImage(content), options, self.card, self.settings.max_pixels)


def predict_files(offline: Offline, paths: Sequence[Path], given: Mapping[str, Any]) -> int:
    """Print a table of predictions; returns the number of files that failed."""
    options = parse_options(PredictOptions, given, {offline.card.name: offline.card})
    rows: list[tuple[str, str, str]] = []

    def predict_one(path: Path) -> None:
        image, _ = offline.load(path, options)
        logits = offline.engine.predict([image.pixels])[0].logits
        fields = predict_fields(offline.card, logits, options, image)
        for rank, score in enumerate(fields["predictions"]):
            name = str(path) if rank == 0 else ""
            rows.append((name, score["label"], f"{score['probability']:.4f}"))

    n_failed = _for_each(paths, predict_one)
    print_table(("image", "class", "probability"), rows)
    return n_failed


def explain_files(
    offline: Offline, paths: Sequence[Path], given: Mapping[str, Any], out: Path
) -> int:
    """Write the explanation of each image to a folder; returns the number of files that failed.

    For `cat.jpg` the files are `cat.json` (the response of `/explain`), and, as `output` says,
    `cat.heatmap.png`, `cat.overlay.png` and `cat.npy`. With `targets` they are
    `cat.dog.heatmap.png` and so on, with the index of a class whose label is no file name.
    """
    given = {name: _read_composite(name, value) for name, value in given.items()}
    options = parse_options(ExplainOptions, given, {offline.card.name: offline.card})
    resolved = resolve_explain(options, offline.card, offline.engine.layers)
    _make_folder(out)
    stems = _unique_stems(paths)

    def explain_one(path: Path) -> None:
        stem = next(stems)
        image, pictures = offline.load(path, options)
        explanation = offline.engine.explain([resolved.job(image.pixels)])[0]
        renderer = ExplanationRenderer(resolved, explanation, image)
        for suffix, content in renderer.files(pictures).items():
            _write(out / f"{stem}{suffix}", content)

    return _for_each(paths, explain_one)


def _read_composite(option: str, value: Any) -> Any:
    """Read the file that an option names: `--composite @rules.json`."""
    if option != "composite" or not value.startswith("@"):
        return value
    path = Path(value[1:])
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise OptionError.of(option, f"the file {path} cannot be read: {reason}") from None
    if not text.lstrip().startswith("["):
        raise OptionError.of(option, f"the file {path} must be a list of rules in JSON")
    return text


def _for_each(paths: Sequence[Path], action: Callable[[Path], None]) -> int:
    """Call `action` for each file; returns the number of failures, each of which is printed."""
    n_failed = 0
    for path in _with_progress(paths):
        try:
            action(path)
        except ServiceError as error:
            print_line(f"error: {path}: {error.detail}", is_error=True)
            n_failed += 1
    return n_failed


def _with_progress(paths: Sequence[Path]) -> Iterable[Path]:
    if len(paths) == 1 or not sys.stderr.isatty():
        return paths
    return track(paths, description="images", console=Console(stderr=True), transient=True)


def _unique_stems(paths: Sequence[Path]) -> Iterator[str]:
    """File names without suffix; repeated names are numbered: cat, cat-2, cat-3."""
    taken: set[str] = set()
    for path in paths:
        stem, n = path.stem, 1
        while stem in taken:
            n += 1
            stem = f"{path.stem}-{n}"
        taken.add(stem)
        yield stem


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror}") from error
