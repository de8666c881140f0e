"""Rows of batch jobs: what they hold, in plain Arrow types."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from service.batch.explainer import BatchExplainer
from service.batch.images import ImageKey, SourceImage
from service.batch.rows import explain_rows
from service.errors import OptionError
from service.runtime.engine import Engine
from service.runtime.jobs import ExplainJob, Explanation

MakeExplainer = Callable[..., BatchExplainer]


def source_images(paths: list[Path]) -> list[SourceImage]:
    keys = [ImageKey(index, path.name) for index, path in enumerate(paths)]
    return [SourceImage(key, path) for key, path in zip(keys, paths, strict=True)]


def explain_directly(engine: Engine, explainer: BatchExplainer, path: Path) -> Explanation:
    loaded = explainer.load(path.read_bytes())
    assert isinstance(loaded, tuple)
    job = ExplainJob(loaded[0].pixels, engine.card.name, explainer.resolved.method)
    (explanation,) = engine.explain([job])
    return explanation


def test_a_row_has_the_explanation_of_the_engine(
    engine: Engine, make_explainer: MakeExplainer, samples: list[Path]
) -> None:
    explainer = make_explainer()
    paths = samples[:5]
    rows = explain_rows(explainer, source_images(paths)).to_pylist()
    assert [row["path"] for row in rows] == [path.name for path in paths]
    for row, path in zip(rows, paths, strict=True):
        expected = explain_directly(engine, explainer, path)
        relevance = expected.attributions[0].relevance.sum(axis=0)
        found = np.float32(row["relevance"]).reshape(row["shape"])
        # in a batch or alone: floating point allows no more
        np.testing.assert_allclose(found, relevance, rtol=0, atol=1e-5 * np.abs(relevance).max())
        np.testing.assert_allclose(row["logits"], expected.logits, rtol=0, atol=1e-5)
        assert row["target"] == expected.logits.argmax() == np.argmax(row["scores"])
        assert row["target_label"] == engine.card.labels[row["target"]]
        assert row["conservation"] == pytest.approx(row["arrived"] / row["start"])
        assert sum(row["scores"]) == pytest.approx(1, abs=1e-6)
        assert json.loads(row["method"])["composite"] == explainer.resolved.method.composite


def test_a_row_alone_has_the_engine_s_numbers_to_the_last_bit(
    engine: Engine, make_explainer: MakeExplainer, cat: Path
) -> None:
    explainer = make_explainer()
    (row,) = explain_rows(explainer, source_images([cat])).to_pylist()
    expected = explain_directly(engine, explainer, cat)
    relevance = expected.attributions[0].relevance.sum(axis=0)
    np.testing.assert_array_equal(np.float32(row["relevance"]).reshape(row["shape"]), relevance)
    np.testing.assert_array_equal(np.float32(row["logits"]), expected.logits)


@pytest.mark.parametrize("content", [b"no image", None, Path("/nowhere.png"), Path("a\0b")])
def test_an_image_that_fails_is_a_row_with_an_error(
    make_explainer: MakeExplainer, cat: Path, content: bytes | Path | None
) -> None:
    images = [SourceImage(ImageKey(0), content), SourceImage(ImageKey(1), cat.read_bytes())]
    failed, explained = explain_rows(make_explainer(), images).to_pylist()
    assert failed["error"]
    assert failed["error_type"] == "not-an-image"
    assert failed["relevance"] is failed["target"] is failed["logits"] is None
    assert explained["error"] is explained["error_type"] is None
    assert explained["target_label"] == "cat"


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"channels": "all"}, [3, 32, 32]),
        ({"layer": "features.3"}, [32, 32]),
        ({"layer": "classifier.7", "output": "relevance"}, [10]),
    ],
)
def test_the_relevance_has_the_shape_that_the_row_says(
    make_explainer: MakeExplainer, cat: Path, options: dict[str, str], shape: list[int]
) -> None:
    table = explain_rows(make_explainer(**options), source_images([cat]))
    assert table.column("shape").to_pylist() == [shape]
    assert len(table.column("relevance")[0]) == np.prod(shape)
    assert table.column("relevance").null_count == 0


def test_no_image_is_a_table_without_rows(make_explainer: MakeExplainer) -> None:
    explainer = make_explainer()
    table = explain_rows(explainer, [])
    assert table.num_rows == 0
    # Arrow before 26 cannot read lists of a fixed size where one of them is null
    assert not any(pa.types.is_fixed_size_list(field.type) for field in table.schema)


@pytest.mark.parametrize("options", [{"targets": ["cat", "dog"]}, {"layers": "all"}])
def test_several_explanations_do_not_fit_into_a_row(
    make_explainer: MakeExplainer, cat: Path, options: dict[str, object]
) -> None:
    with pytest.raises(OptionError, match="a job for each"):
        explain_rows(make_explainer(output="relevance", **options), source_images([cat]))


def test_evidence_does_not_fit_into_a_row(make_explainer: MakeExplainer, cat: Path) -> None:
    with pytest.raises(OptionError, match="evidence does not fit into a row: write files"):
        explain_rows(make_explainer(output="relevance,evidence"), source_images([cat]))


def test_a_size_of_image_that_is_too_large_for_the_settings_is_an_error(
    engine: Engine, cat: Path
) -> None:
    explainer = BatchExplainer.of_options(engine, {}, max_pixels=100)
    (row,) = explain_rows(explainer, source_images([cat])).to_pylist()
    assert row["error_type"] == "too-large"
