"""Evaluations against plain counting."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from service.models.bundles import Bundle
from service.models.card import read_card, write_card
from service.models.measures import Accuracy
from service.runtime.engine import Engine
from training.data import DataError, DataSet
from training.evaluate import (
    Evaluation,
    count_confusion,
    evaluate,
    keep_evaluation,
    print_table,
    write_evaluation,
)


def test_confusion_counts_true_by_predicted() -> None:
    true, predicted = torch.tensor([0, 0, 1, 2, 2]), torch.tensor([0, 1, 1, 0, 2])
    expected = [[1, 1, 0], [0, 1, 0], [1, 0, 1]]
    assert count_confusion(predicted, true, 3).tolist() == expected


def test_evaluation_equals_the_engine_image_by_image(
    shipped_bundle: Bundle, engine: Engine, samples: list[Path], sample_data: DataSet
) -> None:
    expected = np.zeros((10, 10), dtype=np.int64)
    for path in samples:
        logits = engine.predict([np.asarray(Image.open(path))])[0].logits
        expected[shipped_bundle.card.labels.index(path.parent.name), logits.argmax()] += 1
    evaluation = evaluate(shipped_bundle, sample_data)
    assert evaluation.confusion.tolist() == expected.tolist()
    assert evaluation.accuracy == pytest.approx(np.trace(expected) / len(samples))
    assert evaluation.class_accuracy["cat"] == pytest.approx(expected[3, 3] / 20)


def test_the_shipped_card_is_borne_out_by_the_samples(
    shipped_bundle: Bundle, sample_data: DataSet
) -> None:
    claimed = shipped_bundle.card.accuracy["test"].accuracy
    standard_error = (claimed * (1 - claimed) / 200) ** 0.5
    assert evaluate(shipped_bundle, sample_data).accuracy > claimed - 4 * standard_error


def test_other_classes_than_the_models_are_refused(
    shipped_bundle: Bundle, sample_data: DataSet
) -> None:
    others = DataSet(sample_data.train, sample_data.test, ("yes", "no"), "other")
    with pytest.raises(DataError, match="yes, no"):
        evaluate(shipped_bundle, others)


def test_what_was_measured_is_kept_in_the_card(
    shipped_bundle: Bundle, sample_data: DataSet, tmp_path: Path
) -> None:
    before = shipped_bundle.card
    write_card(tmp_path, before)
    evaluation = evaluate(shipped_bundle, sample_data)
    keep_evaluation(evaluation, tmp_path)
    card = read_card(tmp_path)
    assert card.accuracy["test"] == Accuracy(accuracy=evaluation.accuracy, n=200)
    assert np.array_equal(card.confusion["test"], evaluation.confusion)
    kept = before.model_dump(exclude={"accuracy", "confusion"})
    assert card.model_dump(exclude={"accuracy", "confusion"}) == kept
    assert card.accuracy["validation"] == before.accuracy["validation"]


@pytest.fixture
def small() -> Evaluation:
    return Evaluation(("yes", "no"), np.array([[3, 1], [2, 4]]))


def test_files_say_what_was_measured(small: Evaluation, tmp_path: Path) -> None:
    write_evaluation(small, "a title", tmp_path / "out")
    written = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert written["accuracy"] == 0.7
    assert written["class_accuracy"] == {"yes": 0.75, "no": pytest.approx(2 / 3)}
    assert written["confusion"] == [[3, 1], [2, 4]]
    with Image.open(tmp_path / "out" / "confusion.png") as picture:
        assert picture.size[0] > 300


def test_the_table_names_what_a_class_is_taken_for(
    small: Evaluation, capsys: pytest.CaptureFixture[str]
) -> None:
    print_table(small)
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split() == ["no", "66.7%", "6", "yes", "(2)"] for line in lines)
    assert any(line.split() == ["all", "70.00%", "10"] for line in lines)
