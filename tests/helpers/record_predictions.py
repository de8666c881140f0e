"""Record what the shipped bundle predicts for the samples.

`python -m tests.helpers.record_predictions`
Run it when the bundle was replaced on purpose, and look at the change before it is committed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from service.models.bundles import read_bundle
from service.models.registry import find_bundle
from service.runtime.engine import Engine
from service.settings import DEFAULT_MODEL
from tests.helpers.network_input import read_pixels

SAMPLES = Path(__file__).parents[1] / "samples"
RECORD = SAMPLES / "predictions.json"


def predict_samples() -> dict[str, Any]:
    """The record: the weights' hash and, for each image, its best class and all logits."""
    engine = Engine(read_bundle(find_bundle(DEFAULT_MODEL)), torch.device("cpu"))
    predictions = {}
    for path in sorted(SAMPLES.glob("*/*.jpg")):
        logits = engine.predict([read_pixels(path)])[0].logits
        predictions[path.relative_to(SAMPLES).as_posix()] = {
            "label": engine.card.labels[int(logits.argmax())],
            "logits": [round(float(logit), 6) for logit in logits],
        }
    return {"model": engine.card.name, "sha256": engine.card.sha256, "predictions": predictions}


def write_record(record: dict[str, Any]) -> None:
    """Write the record, one line for each image."""
    head = {name: value for name, value in record.items() if name != "predictions"}
    rows = [
        f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in record["predictions"].items()
    ]
    start = json.dumps(head, indent=1).removesuffix("\n}")
    text = start + ',\n "predictions": {\n' + ",\n".join(rows) + "\n }\n}\n"
    RECORD.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_record(predict_samples())
