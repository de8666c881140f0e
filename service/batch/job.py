"""A batch job: decodes ahead, explains, and writes parts on a thread of their own.

The contract:

- Parts have the same images whenever the job is run, and are written in their order.
- A part is in the journal only when it is on the disk: after a kill, at most the part that was
  being written and the one that was being explained are computed again.
- Memory holds two parts and a few batches, whatever the number of images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from service import __version__
from service.batch.compute import Compute, LocalCompute
from service.batch.errors import InputError, OutputError
from service.batch.explainer import BatchExplainer
from service.batch.images import ImageResult, SourceImage
from service.batch.journal import Failure, Journal, Part
from service.batch.outputs import FORMATS, Output, OutputContext
from service.batch.sources import Source
from service.errors import ServiceError


class Progress(Protocol):
    """Is told what happens; called on the thread that runs the job."""

    def begin(self, n_images: int, n_done: int, n_failed: int) -> None:
        """The job has so many images, of which some were done, and failed, in earlier runs."""

    def advance(self, results: Sequence[ImageResult]) -> None:
        """Some images are explained, or failed."""


@dataclass(frozen=True)
class Summary:
    """The numbers of images of a job, and those that failed, in all runs."""

    n_images: int
    n_failed: int


@dataclass(frozen=True)
class BatchJob:
    """A job.

    Attributes
    ----------
    explainer : BatchExplainer
        The model and the options.
    journal : Journal
        That of the output.
    open_source : callable
        Opens the images; given the folder of the journal.
    format_name : str
        A key of `FORMATS`.
    part_size : int or None
        Images in a part; None for the format's own.
    compute : Compute or None
        Where images are explained; None for this process.
    """

    explainer: BatchExplainer
    journal: Journal
    open_source: Callable[[Path], Source]
    format_name: str
    part_size: int | None = None
    compute: Compute | None = None

    def run(self, progress: Progress) -> Summary:
        """Run the job, or what is left of it.

        Raises
        ------
        ServiceError
            The options do not fit the output, the images cannot be listed, the output is of another
            job, or cannot be written.
        KeyboardInterrupt
            The job was interrupted; it can be resumed.
        """
        kind = FORMATS[self.format_name]
        kind.check(self.explainer)
        part_size = self.part_size or kind.part_size(self.explainer)
        source = self.open_source(self.journal.folder)
        if source.n_images == 0:
            raise InputError("there are no images in the input")
        self.journal.begin(self._identity(source, part_size))
        context = OutputContext(self.journal.output, self.journal.folder, self.explainer, source)
        output = kind(context)
        progress.begin(source.n_images, self.journal.n_images, self.journal.n_failed)
        with _output_errors(self.journal.output):
            output.prepare(source.n_images, part_size)
            self._write_parts(output, source, part_size, progress)
            output.finish(self.journal.failures())
        return Summary(self.journal.n_images, self.journal.n_failed)

    def _identity(self, source: Source, part_size: int) -> Mapping[str, Any]:
        card, options = self.explainer.engine.card, self.explainer.resolved.options
        return {
            "lrpserve": __version__,
            "model": card.name,
            "model_sha256": card.sha256,
            **source.identity,
            "n_images": source.n_images,
            **options.model_dump(mode="json", exclude_none=True),
            **self.explainer.describe_method(),
            "format": self.format_name,
            "part_size": part_size,
        }

    def _write_parts(
        self, output: Output, source: Source, part_size: int, progress: Progress
    ) -> None:
        """Explain a part while the one before it is written."""
        with ThreadPoolExecutor(1, thread_name_prefix="write") as pool:
            writing: Future[None] | None = None
            for number, results in enumerate(
                self._parts(source, part_size, progress), self.journal.n_parts
            ):
                if writing:
                    writing.result()
                writing = pool.submit(self._write, output, number, results)
            if writing:
                writing.result()

    def _write(self, output: Output, number: int, results: Sequence[ImageResult]) -> None:
        output.write(number, results)
        failures = [
            Failure(each.key.index, each.key.path, each.outcome.type, each.outcome.detail)
            for each in results
            if isinstance(each.outcome, ServiceError)
        ]
        self.journal.commit(Part(len(results), failures))

    def _parts(
        self, source: Source, part_size: int, progress: Progress
    ) -> Iterator[list[ImageResult]]:
        """The results of each part that is not written yet."""
        images = source.images(self.journal.n_images)
        compute = self.compute or LocalCompute(self.explainer)
        batches = _batches(images, part_size, compute.batch_size)
        part: list[ImageResult] = []
        n_left = source.n_images - self.journal.n_images
        for results in compute.explain(batches):
            part += results
            n_left -= len(results)
            progress.advance(results)
            if len(part) == part_size or n_left == 0:
                yield part
                part = []


def _batches(
    images: Iterator[SourceImage], part_size: int, batch_size: int
) -> Iterator[list[SourceImage]]:
    """Batches that end where parts do."""
    n_in_part = 0
    while batch := list(islice(images, min(batch_size, part_size - n_in_part))):
        yield batch
        n_in_part = (n_in_part + len(batch)) % part_size


@contextmanager
def _output_errors(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"cannot write {output}: {error.strerror or error}; "
            "the same command resumes the job when that is mended"
        ) from error
