"""Zarr (version 3): an array for each column, with a chunk for each part."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from service.batch.durable import sync_filesystem
from service.batch.errors import import_library
from service.batch.explainer import BatchExplainer
from service.batch.images import ImageResult
from service.batch.journal import Failure
from service.batch.outputs.base import Output
from service.batch.rows import Row, check_single_target, make_row

_NO_INDEX = -1
_LEFTOVERS = "*.partial"  # of zarr's own store
_INTEGERS = ("label", "target")
_FLOATS = ("start", "arrived", "conservation")
_TEXTS = ("path", "error_type", "error")


class ZarrOutput(Output):
    """Writes a group of arrays whose first axis is the images; the method is in its attributes.

    Of an image that failed, `error` is a text, `target` is -1, and floats are not a number.
    """

    part_bytes = 1 << 24  # which is read for a single image of it

    @classmethod
    def check(cls, explainer: BatchExplainer) -> None:
        """Refuse several targets."""
        check_single_target(explainer)
        import_library("zarr")

    def prepare(self, n_images: int, part_size: int) -> None:
        """Make the arrays, unless they are there, and remove what a kill has left of chunks."""
        for path in self.path.rglob(_LEFTOVERS):
            path.unlink()
        self._zarr, self._part_size = import_library("zarr"), part_size
        group = self._zarr.open_group(self.path, mode="a", zarr_format=3)
        for name, (kind, shape, missing) in self._arrays().items():
            if name not in group:
                group.create_array(
                    name,
                    shape=(n_images, *shape),
                    chunks=(part_size, *shape),
                    dtype=kind,
                    fill_value=missing,
                )
        group.attrs.update(self._attributes())
        self._group = group

    def _arrays(self) -> dict[str, tuple[Any, tuple[int, ...], Any]]:
        """Type, shape without the images, and missing value of each array."""
        classes = (len(self.explainer.engine.card.labels),)
        shape = self.explainer.relevance_shape
        return {
            "relevance": (np.float32, shape, np.nan),
            "logits": (np.float32, classes, np.nan),
            "scores": (np.float32, classes, np.nan),
            **dict.fromkeys(_INTEGERS, (np.int32, (), _NO_INDEX)),
            **dict.fromkeys(_FLOATS, (np.float64, (), np.nan)),
            **dict.fromkeys(_TEXTS, (str, (), "")),
        }

    def _attributes(self) -> dict[str, Any]:
        card = self.explainer.engine.card
        return {
            "model": card.name,
            "model_sha256": card.sha256,
            "labels": list(card.labels),
            "method": self.explainer.describe_method(),
        }

    def write(self, number: int, results: Sequence[ImageResult]) -> None:
        """Write the chunks of a part."""
        rows = [make_row(self.explainer, result) for result in results]
        first = number * self._part_size
        for name, (kind, shape, missing) in self._arrays().items():
            self._group[name][first : first + len(rows)] = _column(rows, name, kind, shape, missing)
        sync_filesystem(self.path)

    def finish(self, failures: Iterable[Failure]) -> None:
        """Mark the group as complete."""
        self._group.attrs["is_complete"] = True
        sync_filesystem(self.path)


def _column(rows: Sequence[Row], name: str, kind: Any, shape: tuple[int, ...], missing: Any) -> Any:
    column = np.full((len(rows), *shape), missing, dtype=object if kind is str else kind)
    for index, row in enumerate(rows):
        value = row.get(name)
        if value is not None:
            column[index] = value.reshape(shape) if shape else value
    return column
