"""An actor that explains images, for Ray Data and for batch jobs on Ray."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.batch.images import ImageKey, ImageResult, SourceImage
from service.runtime.cores import set_wait_policy
from service.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa

_MANY = 1_000_000  # images: the batch size is worth to be measured


class ExplainActor:
    """A model in a process of its own, which explains images at the engine's batch size.

    Parameters
    ----------
    settings : Settings
        The model and the device.
    options : mapping of str to Any
        Options as `/explain` takes them.
    n_threads : int
        Threads that decode images.
    """

    def __init__(self, settings: Settings, options: Mapping[str, Any], n_threads: int) -> None:
        set_wait_policy()  # before torch is imported
        from service.batch.explainer import BatchExplainer, load_engine

        engine = load_engine(settings, _MANY)
        self._explainer = BatchExplainer.of_options(engine, options, settings.max_pixels)
        self._n_threads = n_threads

    def explain(self, images: Sequence[SourceImage]) -> list[ImageResult]:
        """Explain images; each has a result or an error of its own."""
        from service.batch.decoding import decode_ahead

        size = self._explainer.batch_size
        batches = (images[first : first + size] for first in range(0, len(images), size))
        decoded = decode_ahead(batches, self._explainer, self._n_threads)
        return [result for pair in decoded for result in self._explainer.results(*pair)]

    def __call__(self, table: pa.Table) -> pa.Table:
        """Explain the images of a block of Ray Data; the rows are those of `service.batch.rows`."""
        from service.batch.rows import make_row, make_table

        results = self.explain(list(_images(table)))
        rows = [make_row(self._explainer, result) for result in results]
        return make_table(self._explainer, rows)


def _images(table: pa.Table) -> Iterator[SourceImage]:
    """The images of a block, which has the columns `bytes` or `path`, or both."""
    columns = {name: table[name].to_pylist() for name in table.column_names}
    none = [None] * table.num_rows
    rows = zip(
        *(columns.get(name, none) for name in ("index", "path", "label", "bytes")), strict=True
    )
    for index, path, label, content in rows:
        key = ImageKey(-1 if index is None else index, path, label)
        yield SourceImage(key, content if content is not None else _as_path(path))


def _as_path(path: str | None) -> Path | None:
    return None if path is None else Path(path)
