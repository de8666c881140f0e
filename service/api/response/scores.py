"""Logits into the scores of classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from service.api.request.options import PredictOptions
from service.imaging.fit import FittedImage
from service.models.card import ModelCard
from service.runtime.jobs import Floats


def predict_fields(
    card: ModelCard, logits: Floats, options: PredictOptions, image: FittedImage
) -> dict[str, Any]:
    """The fields of a `PredictResponse`."""
    best = np.argsort(-logits, kind="stable")[: options.top_k]
    return {
        "model": card.name,
        "model_sha256": card.sha256,
        "predictions": class_scores(card, logits, best.tolist()),
        "image": {"width": image.width, "height": image.height, "box": list(image.box)},
    }


def class_scores(card: ModelCard, logits: Floats, indices: Sequence[int]) -> list[dict[str, Any]]:
    """The scores of some classes; probabilities are the softmax over all."""
    shifted = logits.astype(np.float64) - logits.max()
    probabilities = np.exp(shifted) / np.exp(shifted).sum()
    return [
        {
            "index": index,
            "label": card.labels[index],
            "probability": float(probabilities[index]),
            "logit": float(logits[index]),
        }
        for index in indices
    ]
