"""Rows of jobs on Ray, beside those of the same images in this process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from service.batch.explainer import BatchExplainer
from service.batch.images import ImageKey, SourceImage
from service.batch.rows import explain_rows
from service.runtime.engine import Engine

MAX_PIXELS = 40_000_000


def expected_rows(engine: Engine, images: Path, **options: str) -> pd.DataFrame:
    """The rows of the same images in this process."""
    explainer = BatchExplainer.of_options(engine, {"output": "relevance"} | options, MAX_PIXELS)
    sources = [
        SourceImage(ImageKey(index, str(path)), path)
        for index, path in enumerate(sorted(images.iterdir()))
    ]
    return explain_rows(explainer, sources).to_pandas()


def assert_equal_rows(rows: pd.DataFrame, reference: pd.DataFrame) -> None:
    """Compare rows of Ray with those of this process; paths may be relative to the input."""
    assert [Path(path).name for path in rows.path] == [Path(path).name for path in reference.path]
    for column in ("target", "target_label", "model_sha256", "error_type", "error"):
        pd.testing.assert_series_equal(rows[column], reference[column])
    for row, alone in zip(rows.relevance, reference.relevance, strict=True):
        if alone is not None:
            np.testing.assert_allclose(row, alone, rtol=0, atol=2e-5 * np.abs(alone).max())
    assert rows.error_type.notna().sum() == 1
