"""`lrpserve predict` and `explain`: image files without a server, with the same results."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from service.api.request.image import picture_spec
from service.api.request.options import ExplainOptions, PredictOptions, parse_options
from service.api.request.resolved import resolve_explain
from service.api.response.explanation import ExplanationRenderer
from service.api.response.scores import predict_fields
from service.batch.errors import OutputError
from service.batch.explainer import load_content, load_engine
from service.commands.files import FileBatches, Outcome
from service.errors import OptionError, ServiceError
from service.files import read_file
from service.imaging.fit import FittedImage
from service.imaging.pictures import Loaded
from service.runtime.jobs import Explanation, Prediction
from service.settings import Settings
from service.terminal import cut_middle, print_line, print_table

_MAX_RULES_BYTES = 2**20
DEFAULT_OUTPUT = "heatmap,overlay"


class Offline:
    """An engine in this process, on the first device of the settings.

    Parameters
    ----------
    settings : Settings
        The model and the device.
    n_images : int
        Images to come: for few, the batch size is not measured, as that takes longer than they do.
    """

    def __init__(self, settings: Settings, n_images: int) -> None:
        self.settings = settings
        self.engine = load_engine(settings, n_images)
        self.card = self.engine.card

    def load(self, path: Path, options: PredictOptions) -> Loaded:
        """Read an image file and fit it to the network."""
        return load_content(path, picture_spec(options, self.card), self.settings.max_pixels)


def predict_files(offline: Offline, paths: Sequence[Path], given: Mapping[str, Any]) -> int:
    """Print a table of predictions; returns the number of files that failed."""
    options = parse_options(PredictOptions, given, {offline.card.name: offline.card})
    rows: dict[int, list[tuple[str, str, str]]] = {}

    def run(images: Sequence[FittedImage]) -> Sequence[Prediction]:
        return offline.engine.predict([image.pixels for image in images])

    def write(index: int, image: FittedImage, prediction: Prediction) -> None:
        fields = predict_fields(offline.card, prediction.logits, options, image)
        rows[index] = [
            (str(paths[index]) if rank == 0 else "", score["label"], f"{score['probability']:.4f}")
            for rank, score in enumerate(fields["predictions"])
        ]

    batch_size = offline.engine.batch_size(None)
    batches = FileBatches(lambda path: offline.load(path, options)[0], run, write, batch_size)
    n_failed = _count_failures(batches, paths)
    in_order = [row for index in sorted(rows) for row in rows[index]]
    print_table(("image", "class", "probability"), in_order)
    return n_failed


def explain_files(
    offline: Offline, paths: Sequence[Path], given: Mapping[str, Any], out: Path
) -> int:
    """Write the explanation of each image to a folder; returns the number of files that failed.

    For `cat.jpg` the files are `cat.json` (the response of `/explain`), and, as `output` says,
    `cat.heatmap.png`, `cat.overlay.png` and `cat.npy`. With `targets` they are
    `cat.dog.heatmap.png` and so on, with the index of a class whose label is no file name. What
    the evidence says, if `output` asks for it, is printed too.
    """
    given = {"output": DEFAULT_OUTPUT} | read_composite(given)
    options = parse_options(ExplainOptions, given, {offline.card.name: offline.card})
    resolved = resolve_explain(options, offline.card, offline.engine.layers)
    _make_folder(out)
    stems = list(_unique_stems(paths))
    said: dict[int, list[str]] = {}  # by the place of the file

    def run(loaded: Sequence[Loaded]) -> Sequence[Explanation | ServiceError]:
        jobs = [resolved.job(image.pixels) for image, _ in loaded]
        return offline.engine.run(jobs)  # type: ignore[return-value]  # the jobs are explanations

    def write(index: int, loaded: Loaded, explanation: Explanation) -> None:
        image, pictures = loaded
        renderer = ExplanationRenderer(resolved, explanation, image)
        for suffix, content in renderer.files(pictures).items():
            _write(out / f"{stems[index]}{suffix}", content)
        if resolved.has_evidence:
            said[index] = [target.evidence()["text"] for target in renderer.targets]

    batch_size = offline.engine.batch_size(resolved.method, has_evidence=resolved.has_evidence)
    batches = FileBatches(lambda path: offline.load(path, options), run, write, batch_size)
    n_failed = _count_failures(batches, paths)
    for index in sorted(said):
        for text in said[index]:
            print_line(f"{paths[index]}: {text}")
    return n_failed


def read_composite(given: Mapping[str, Any]) -> dict[str, Any]:
    """Read the file of rules that `--composite @rules.json` names; other options are unchanged."""
    value = given.get("composite")
    if not isinstance(value, str) or not value.startswith("@"):
        return dict(given)
    path = Path(value[1:])
    try:
        text = read_file(path, _MAX_RULES_BYTES).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise OptionError.of("composite", f"the file {path} cannot be read: {reason}") from None
    if not text.lstrip().startswith("["):
        raise OptionError.of("composite", f"the file {path} must be a list of rules in JSON")
    return {**given, "composite": text}


def _count_failures(batches: FileBatches[Any, Any], paths: Sequence[Path]) -> int:
    """Process the files; returns the number of failures, each of which is printed."""
    n_failed = 0
    for path, error in _with_progress(batches.outcomes(paths), len(paths)):
        if error is not None:
            print_line(f"error: {path}: {cut_middle(error.detail)}", is_error=True)
            n_failed += 1
    return n_failed


def _with_progress(outcomes: Iterable[Outcome], n_files: int) -> Iterable[Outcome]:
    if n_files == 1 or not sys.stderr.isatty():
        return outcomes
    console = Console(stderr=True)
    return track(outcomes, description="images", total=n_files, console=console, transient=True)


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
