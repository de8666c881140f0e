"""The rows of a batch job: columns of plain Arrow types, one row for each image.

| column | type | content |
| --- | --- | --- |
| index | int64 | place of the image in the input, from 0 |
| path | string | as the input gives it; null where there are bytes only |
| label | int32 | index of the true class, where the input has it |
| target, target_label | int32, string | the class that was explained |
| logits, scores | list<float32> | of every class; scores are their softmax |
| relevance | list<float32> | in row-major order |
| shape | list<int32> | of the relevance |
| start, arrived, conservation | float64 | relevance at the output, at the layer, and their ratio |
| model, model_sha256, method | string | the same in all rows; the method is JSON |
| error_type, error | string | why there is no explanation: then target to method are null |
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
from numpy.typing import NDArray

from service.api.request.options import EVIDENCE
from service.api.response.explanation import ExplanationRenderer
from service.api.response.target import TargetExplanation
from service.batch.explainer import BatchExplainer
from service.batch.images import ImageResult, SourceImage
from service.errors import OptionError, ServiceError

if TYPE_CHECKING:
    import pyarrow as pa

Row = dict[str, Any]


def explain_rows(explainer: BatchExplainer, images: Sequence[SourceImage]) -> pa.Table:
    """Decode and explain images, on this thread: a table with a row for each, in their order.

    Raises
    ------
    OptionError
        The options have several `targets` or `layers`.
    """
    check_single_target(explainer)
    rows: list[Row] = []
    for first in range(0, len(images), explainer.batch_size):
        batch = images[first : first + explainer.batch_size]
        loaded = [explainer.load(image.content) for image in batch]
        rows += [make_row(explainer, result) for result in explainer.results(batch, loaded)]
    return make_table(explainer, rows)


def check_single_target(explainer: BatchExplainer) -> None:
    """Refuse several `targets` or `layers`, and evidence: a row has one relevance.

    Raises
    ------
    OptionError
        Says what to do.
    """
    if explainer.resolved.has_list:
        detail = "do not fit into a row: write files, or run a job for each `target`"
        raise OptionError.of("targets", detail)
    if explainer.resolved.layers:
        detail = "do not fit into a row: write files, or run a job for each `layer`"
        raise OptionError.of("layers", detail)
    if explainer.resolved.has_evidence:
        raise OptionError.of("output", f"{EVIDENCE} does not fit into a row: write files")


def make_row(explainer: BatchExplainer, result: ImageResult) -> Row:
    """The values of a row by column; arrays are numpy's, and what is null is None or missing."""
    row: Row = {**vars(result.key)}
    if isinstance(result.outcome, ServiceError):
        return row | {"error_type": result.outcome.type, "error": result.outcome.detail}
    assert result.loaded is not None  # noqa: S101  it was decoded: it is explained
    renderer = ExplanationRenderer(explainer.resolved, result.outcome, result.loaded[0])
    (target,) = renderer.targets
    return row | _explained(explainer, renderer, target)


def _explained(
    explainer: BatchExplainer, renderer: ExplanationRenderer, target: TargetExplanation
) -> Row:
    card, logits, conservation = explainer.engine.card, target.logits, target.conservation()
    return {
        "target": target.attribution.target,
        "target_label": target.label,
        "logits": logits,
        "scores": _softmax(logits),
        "relevance": target.array().reshape(-1),
        "shape": explainer.relevance_shape,
        "start": conservation["start"],
        "arrived": conservation["arrived"],
        "conservation": conservation["ratio"],
        "model": card.name,
        "model_sha256": card.sha256,
        "method": orjson.dumps(renderer.method()).decode(),
    }


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    exponentials = np.exp(logits.astype(np.float64) - logits.max())
    scores: NDArray[np.float32] = (exponentials / exponentials.sum()).astype(np.float32)
    return scores


def make_schema(explainer: BatchExplainer) -> pa.Schema:
    """The schema of a job's rows.

    No list has a fixed size: Arrow before 26 neither writes nor reads those of images that fail.
    """
    import pyarrow as pa

    check_single_target(explainer)
    floats = pa.list_(pa.float32())
    return pa.schema(
        {
            "index": pa.int64(),
            "path": pa.string(),
            "label": pa.int32(),
            "target": pa.int32(),
            "target_label": pa.string(),
            "logits": floats,
            "scores": floats,
            "relevance": floats,
            "shape": pa.list_(pa.int32()),
            "start": pa.float64(),
            "arrived": pa.float64(),
            "conservation": pa.float64(),
            "model": pa.string(),
            "model_sha256": pa.string(),
            "method": pa.string(),
            "error_type": pa.string(),
            "error": pa.string(),
        }
    )


def make_table(explainer: BatchExplainer, rows: Sequence[Row]) -> pa.Table:
    """Make an Arrow table of rows."""
    import pyarrow as pa

    schema = make_schema(explainer)
    columns = [_column([row.get(field.name) for row in rows], field.type) for field in schema]
    return pa.table(columns, schema=schema)


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    if kind != pa.list_(pa.float32()):
        return pa.array(values, kind)
    arrays = [np.zeros(0, np.float32) if value is None else value for value in values]
    offsets = np.cumsum([0, *(len(array) for array in arrays)], dtype=np.int32)
    flat = np.concatenate(arrays or [np.zeros(0, np.float32)])
    is_null = pa.array([value is None for value in values], pa.bool_())
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat), mask=is_null)
