"""A project of ViRelAy 1.0: `project.yaml`, `label_map.json`, `input.h5` and `attribution.h5`.

HDF5 files that are being written do not survive a kill: parts are kept in the folder of the job,
and the files are made of them at the end.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from service.batch.durable import replaced, write_file
from service.batch.errors import import_library
from service.batch.explainer import BatchExplainer
from service.batch.images import ImageResult
from service.batch.journal import Failure
from service.batch.outputs.base import ERRORS, Output, write_failures
from service.batch.rows import check_single_target
from service.errors import OptionError, ServiceError
from service.methods import INPUT

_PROJECT, _LABELS = "project.yaml", "label_map.json"
_INPUT, _ATTRIBUTION = "input.h5", "attribution.h5"
_LABEL_TYPE = np.uint16  # ViRelAy's own
# datasets, and the columns of parts that they have
_INPUT_COLUMNS = {"data": "pixels", "label": "label", "index": "index", "path": "path"}
_ATTRIBUTION_COLUMNS = {"attribution": "relevance", "prediction": "logits", "label": "label"}


class VirelayOutput(Output):
    """Writes a project that `virelay project.yaml` opens.

    It has the images that were explained, in their order: `index` of `input.h5` says which they
    are of the input. Relevance is of each colour channel. The label of an image is its true class,
    where the input says it, else the class that was explained.
    """

    @classmethod
    def check(cls, explainer: BatchExplainer) -> None:
        """Refuse several targets, and a layer other than the image."""
        check_single_target(explainer)
        if explainer.resolved.method.layer != INPUT:
            raise OptionError.of("layer", f"must be {INPUT}: ViRelAy shows relevance of the image")
        for name in ("h5py", "yaml"):
            import_library(name)

    @property
    def _parts(self) -> Path:
        return self.context.state / "parts"

    def prepare(self, n_images: int, part_size: int) -> None:
        """Make the folders."""
        super().prepare(n_images, part_size)
        self._parts.mkdir(exist_ok=True)

    def write(self, number: int, results: Sequence[ImageResult]) -> None:
        """Keep the arrays of a part."""
        explained = [each for each in results if not isinstance(each.outcome, ServiceError)]
        if explained:
            with replaced(self._parts / f"{number:08d}.npz") as path, path.open("wb") as file:
                np.savez(file, **_arrays(explained))

    def finish(self, failures: Iterable[Failure]) -> None:
        """Make the files of the project, if an image was explained; parts are removed last."""
        if not self._parts.exists():
            return
        write_failures(self.path / ERRORS, failures)
        parts = sorted(self._parts.glob("*.npz"))
        if parts:
            self._write_labels()
            _join(parts, self.path / _INPUT, _INPUT_COLUMNS)
            _join(parts, self.path / _ATTRIBUTION, _ATTRIBUTION_COLUMNS)
            self._write_project()
        shutil.rmtree(self._parts)

    def _write_labels(self) -> None:
        labels = [
            {"index": index, "word_net_id": f"{index:08d}", "name": label}
            for index, label in enumerate(self.explainer.engine.card.labels)
        ]
        write_file(self.path / _LABELS, json.dumps(labels).encode())

    def _write_project(self) -> None:
        yaml = import_library("yaml")
        text = yaml.safe_dump({"project": self._project()}, sort_keys=False, allow_unicode=True)
        write_file(self.path / _PROJECT, text.encode())

    def _project(self) -> dict[str, Any]:
        card, method = self.explainer.engine.card, self.explainer.resolved.method
        height, width = card.input_size
        is_predicted = self.explainer.resolved.targets == (None,)
        return {
            "name": self.path.name,
            "model": card.name,
            "label_map": _LABELS,
            "dataset": {
                "name": self.path.name,
                "type": "hdf5",
                "path": _INPUT,
                "input_width": width,
                "input_height": height,
                "down_sampling_method": "none",
                "up_sampling_method": "none",
            },
            "attributions": {
                "attribution_method": f"{method.attributor}, {method.composite}",
                "attribution_strategy": "predicted_label" if is_predicted else "true_label",
                "sources": [_ATTRIBUTION],
            },
            "analyses": [],
        }


def _arrays(results: Sequence[ImageResult]) -> dict[str, Any]:
    """The arrays of a part, of the images that were explained."""
    columns: dict[str, list[Any]] = {}
    for result in results:
        for name, value in _values(result).items():
            columns.setdefault(name, []).append(value)
    return {name: np.array(values) for name, values in columns.items()}


def _values(result: ImageResult) -> dict[str, Any]:
    if isinstance(result.outcome, ServiceError) or result.loaded is None:
        return {}
    (attribution,), label = result.outcome.attributions, result.key.label
    return {
        "pixels": result.loaded[0].pixels,
        "relevance": attribution.relevance,
        "logits": result.outcome.logits,
        "label": attribution.target if label is None else label,
        "index": result.key.index,
        "path": (result.key.path or "").encode(),
    }


def _join(parts: Sequence[Path], target: Path, columns: Mapping[str, str]) -> None:
    """Write an HDF5 file whose datasets are the arrays of all parts, one after another."""
    h5py = import_library("h5py")
    with replaced(target) as path, h5py.File(path, "w") as file:
        for name, column in columns.items():
            n_rows = sum(len(_read(part, "label")) for part in parts)
            first = _read(parts[0], column)
            kind = h5py.string_dtype() if first.dtype.kind == "S" else first.dtype
            kind = _LABEL_TYPE if column == "label" else kind
            dataset = file.create_dataset(name, (n_rows, *first.shape[1:]), kind)
            row = 0
            for part in parts:
                rows = _read(part, column)
                dataset[row : row + len(rows)] = rows
                row += len(rows)


def _read(part: Path, column: str) -> Any:
    with np.load(part) as arrays:
        return arrays[column]
