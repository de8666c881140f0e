"""Where the images of a batch job are explained: in this process, unless it is told otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from service.batch.decoding import decode_ahead
from service.batch.explainer import BatchExplainer
from service.batch.images import ImageResult, SourceImage


class Compute(Protocol):
    """Explains batches of images.

    Attributes
    ----------
    batch_size : int
        Number of images of a batch.
    """

    @property
    def batch_size(self) -> int:
        """Number of images of a batch."""

    def explain(self, batches: Iterable[Sequence[SourceImage]]) -> Iterator[list[ImageResult]]:
        """Yield the results of each batch, in their order; few batches are held at a time."""


class LocalCompute:
    """Explains on the device of this process, and decodes ahead on all of its cores."""

    def __init__(self, explainer: BatchExplainer) -> None:
        self._explainer = explainer

    @property
    def batch_size(self) -> int:
        """The engine's best batch size."""
        return self._explainer.batch_size

    def explain(self, batches: Iterable[Sequence[SourceImage]]) -> Iterator[list[ImageResult]]:
        """Yield the results of each batch, in their order."""
        for batch, loaded in decode_ahead(batches, self._explainer):
            yield list(self._explainer.results(batch, loaded))
