"""`lrpserve explain --input`: a batch job over many images, which can be resumed."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from service.api.request.options import OUTPUTS
from service.batch.compute import Compute
from service.batch.explainer import BatchExplainer, load_engine
from service.batch.job import BatchJob, Summary
from service.batch.journal import Journal
from service.batch.outputs import choose_format
from service.batch.parquet_source import ParquetSource, is_parquet
from service.batch.progress import JobProgress
from service.batch.sources import STANDARD_INPUT, FolderSource, Source, check_exists, open_list
from service.commands.local import DEFAULT_OUTPUT, read_composite
from service.errors import OptionError
from service.settings import Settings
from service.terminal import print_line

INTERRUPTED = 130  # exit status, as shells have it for Ctrl-C
_MANY = 1_000_000  # images: the batch size is worth to be measured


@dataclass(frozen=True)
class BatchArguments:
    """Arguments of a batch job, as they are given.

    Attributes
    ----------
    source : str
        A folder, a Parquet file or folder, a list of paths, or `-`.
    out : Path or None
        `--out`.
    images : sequence of Path
        Image files, of which there must be none.
    format_name : str or None
        Format of the output.
    column : str or None
        Column of a Parquet file that has the images.
    part_size : int or None
        Images in a part.
    ray_actors : int or None
        Actors on Ray that explain; None for this process.
    ray_gpus : float
        GPUs of each.
    """

    source: str
    out: Path | None
    images: Sequence[Path] = ()
    format_name: str | None = None
    column: str | None = None
    part_size: int | None = None
    ray_actors: int | None = None
    ray_gpus: float = 0.0

    def resolve(self, given: Mapping[str, Any]) -> tuple[Path, str, dict[str, Any]]:
        """The output, its format, and the options of the explanations.

        Raises
        ------
        OptionError
            The output is missing, or does not fit the others.
        """
        if self.images:
            raise OptionError.of("input", "give either image files or --input")
        options = read_composite(given)
        output = self.out
        if output is None:
            output = _as_destination(options.pop("output", None))
        format_name = choose_format(output, self.format_name)
        default = DEFAULT_OUTPUT if format_name == "files" else "relevance"
        options = {"output": default} | options
        if format_name != "files" and options["output"] != "relevance":
            detail = f"{format_name} holds the relevance only: leave it out, or give --format files"
            raise OptionError.of("output", detail)
        return output, format_name, options


def _as_destination(output: str | None) -> Path:
    """`--output` without `--out`: where the results go."""
    if not output:
        raise OptionError.of("output", "is missing: say where the results go")
    if set(output.split(",")) <= set(OUTPUTS):
        detail = f"says what is written; give --out too, or write --output ./{output} for a folder"
        raise OptionError.of("output", detail)
    return Path(output)


def explain_batch(settings: Settings, arguments: BatchArguments, given: Mapping[str, Any]) -> int:
    """Run or resume a batch job; returns the exit status.

    Parameters
    ----------
    settings : Settings
        The model and the device.
    arguments : BatchArguments
        Input and output.
    given : mapping of str to Any
        Options as `/explain` takes them; `output` without `arguments.out` is a path.
    """
    output, format_name, options = arguments.resolve(given)
    check_exists(arguments.source)
    journal, progress = Journal(output), JobProgress()
    try:
        engine = load_engine(settings, _MANY)
        explainer = BatchExplainer.of_options(engine, options, settings.max_pixels)
        source = partial(_open_source, arguments.source, arguments.column, output, explainer)
        compute = _ray_compute(settings, arguments, options)
        job = BatchJob(explainer, journal, source, format_name, arguments.part_size, compute)
        with interrupted_by_sigterm(), progress:
            summary = job.run(progress)
    except KeyboardInterrupt:
        done = f"{journal.n_images:,} images are written"
        print_line(f"interrupted: {done}; the same command goes on with the others", is_error=True)
        return INTERRUPTED
    finally:
        journal.close()
    return _report(summary, output)


def _ray_compute(
    settings: Settings, arguments: BatchArguments, options: Mapping[str, Any]
) -> Compute | None:
    if arguments.ray_actors is None:
        return None
    from service.ray.cluster import require_ray
    from service.ray.compute import RayCompute

    require_ray()
    return RayCompute(settings, options, arguments.ray_actors, arguments.ray_gpus)


def _report(summary: Summary, output: Path) -> int:
    explained = f"{summary.n_images - summary.n_failed:,} of {summary.n_images:,} images explained"
    print_line(f"{explained}, {summary.n_failed:,} failed: {output}", is_error=True)
    return 2 if summary.n_failed else 0


def _open_source(
    given: str, column: str | None, output: Path, explainer: BatchExplainer, state: Path
) -> Source:
    path, labels = Path(given), explainer.engine.card.labels
    if given != STANDARD_INPUT and is_parquet(path):
        return ParquetSource(path, labels, column)
    if column is not None:
        raise OptionError.of("column", "is for Parquet; leave it out")
    if given != STANDARD_INPUT and path.is_dir():
        return FolderSource(path, state, labels, output)
    return open_list(given, state)


@contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end a block as Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    earlier = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, earlier)
