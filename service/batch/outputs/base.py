"""The output of a batch job: results are written in parts."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import orjson

from service.batch.durable import replaced
from service.batch.explainer import BatchExplainer
from service.batch.images import ImageResult
from service.batch.journal import Failure
from service.batch.sources import Source

MAX_PART_IMAGES = 1024
ERRORS = "errors.jsonl"


@dataclass(frozen=True)
class OutputContext:
    """What an output is written with.

    Attributes
    ----------
    path : Path
        The output.
    state : Path
        Folder of the job, for files that are needed until it is finished.
    explainer : BatchExplainer
        The model and the options.
    source : Source
        The images.
    """

    path: Path
    state: Path
    explainer: BatchExplainer
    source: Source


class Output(ABC):
    """Writes the results of a job in one format.

    The contract: `write` returns when the results are on the disk, and may be called again for the
    same part, whose earlier results it replaces; likewise `prepare` and `finish`.

    Attributes
    ----------
    part_bytes : int
        Relevance that a part has at most, unless a single image has more.
    """

    part_bytes: ClassVar[int] = 1 << 26

    def __init__(self, context: OutputContext) -> None:
        self.context = context
        self.path, self.explainer = context.path, context.explainer

    @classmethod
    @abstractmethod
    def check(cls, explainer: BatchExplainer) -> None:
        """Refuse options that do not fit the format.

        Raises
        ------
        OptionError
            Says what to change.
        """

    @classmethod
    def part_size(cls, explainer: BatchExplainer) -> int:
        """Images in a part: a power of two."""
        image_bytes = 4 * math.prod(explainer.relevance_shape)
        n_images = min(MAX_PART_IMAGES, max(1, cls.part_bytes // image_bytes))
        return 1 << (n_images.bit_length() - 1)

    def prepare(self, n_images: int, part_size: int) -> None:
        """Make what parts are written into."""
        self.path.mkdir(parents=True, exist_ok=True)

    @abstractmethod
    def write(self, number: int, results: Sequence[ImageResult]) -> None:
        """Write the part with a number, from 0."""

    @abstractmethod
    def finish(self, failures: Iterable[Failure]) -> None:
        """Write what follows from all parts."""


def write_failures(path: Path, failures: Iterable[Failure]) -> None:
    """List the images that failed: a JSON object on each line."""
    with replaced(path) as incomplete, incomplete.open("wb") as file:
        file.writelines(orjson.dumps(vars(failure)) + b"\n" for failure in failures)
