"""The shipped bundle predicts what was recorded for it: called directly, and over the wire."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from service.models.card import ModelCard
from service.runtime.engine import Engine
from tests.helpers.network_input import read_pixels
from tests.helpers.record_predictions import RECORD, SAMPLES

TOLERANCE = 1e-4  # of a logit: other processors and versions round differently


@pytest.fixture(scope="module")
def record(card: ModelCard) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8"))
    if found["sha256"] != card.sha256:
        pytest.fail(
            f"the bundle that ships ({card.sha256[:12]}...) is not the one whose predictions "
            f"were recorded ({found['sha256'][:12]}...); if it was replaced on purpose, run "
            "`python -m tests.helpers.record_predictions` and look at the change"
        )
    return found


def name_of(path: Path) -> str:
    return path.relative_to(SAMPLES).as_posix()


def test_there_are_20_samples_of_each_class(samples: list[Path], card: ModelCard) -> None:
    classes = [label for label in sorted(card.labels) for _ in range(20)]
    assert [path.parent.name for path in samples] == classes


def test_every_sample_is_recorded_and_no_other(samples: list[Path], record: dict[str, Any]) -> None:
    assert list(record["predictions"]) == [name_of(path) for path in samples]


def test_called_directly_the_predictions_are_those_recorded(
    engine: Engine, samples: list[Path], record: dict[str, Any]
) -> None:
    for path in samples:
        logits = engine.predict([read_pixels(path)])[0].logits
        wanted = record["predictions"][name_of(path)]
        assert engine.card.labels[int(logits.argmax())] == wanted["label"], path
        np.testing.assert_allclose(logits, wanted["logits"], rtol=0, atol=TOLERANCE)


def test_over_the_wire_the_predictions_are_those_recorded(
    client: httpx.Client, samples: list[Path], record: dict[str, Any]
) -> None:
    for path in samples:
        answer = client.post("/predict", files={"image": path.read_bytes()}, data={"top_k": "10"})
        predictions = answer.raise_for_status().json()["predictions"]
        wanted = record["predictions"][name_of(path)]
        assert predictions[0]["label"] == wanted["label"], path
        logits = [score["logit"] for score in sorted(predictions, key=lambda s: s["index"])]
        np.testing.assert_allclose(logits, wanted["logits"], rtol=0, atol=TOLERANCE)


def test_most_predictions_are_right(record: dict[str, Any], card: ModelCard) -> None:
    pairs = [(name.split("/")[0], row["label"]) for name, row in record["predictions"].items()]
    share = sum(truth == label for truth, label in pairs) / len(pairs)
    assert share == pytest.approx(card.accuracy["test"].accuracy, abs=0.08)
