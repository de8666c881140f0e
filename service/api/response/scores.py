"""Class scores, and the response to `/predict`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from starlette.responses import Response

from service.api.request.accept import JSON
from service.api.request.options import PredictOptions
from service.api.request.resolved import ResolvedPredict
from service.imaging.fit import FittedImage
from service.imaging.pictures import Pictures
from service.models.card import ModelCard
from service.runtime.jobs import Floats, Prediction

VARY = {"Vary": "Accept"}


class PredictionRenderer:
    """Writes the response of a prediction.

    Parameters
    ----------
    resolved : ResolvedPredict
        The request.
    prediction : Prediction
        The result of its job.
    image : FittedImage
        The image as the network saw it.
    """

    is_small = True

    def __init__(
        self, resolved: ResolvedPredict, prediction: Prediction, image: FittedImage
    ) -> None:
        self.resolved, self.prediction, self.image = resolved, prediction, image

    def steps(self, pictures: Pictures | None) -> Sequence[Callable[[], object]]:
        """There is nothing to draw."""
        return ()

    def render(self, media_type: str, pictures: Pictures | None) -> Response:
        """Write the response, which is JSON without pictures."""
        resolved = self.resolved
        return json_response(
            predict_fields(resolved.card, self.prediction.logits, resolved.options, self.image)
        )


def json_response(fields: dict[str, Any]) -> Response:
    """Make a JSON response; arrays become nested lists."""
    return Response(json_bytes(fields), media_type=JSON, headers=VARY)


def json_bytes(value: Any) -> bytes:
    """Encode as JSON; arrays become nested lists."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


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
    probability = probabilities(logits)
    return [
        {
            "index": index,
            "label": card.labels[index],
            "probability": float(probability[index]),
            "logit": float(logits[index]),
        }
        for index in indices
    ]


def probabilities(logits: Floats) -> NDArray[np.float64]:
    """The softmax of logits of shape (num_classes,)."""
    shifted = logits.astype(np.float64) - logits.max()
    exponentials: NDArray[np.float64] = np.exp(shifted)
    exponentials /= exponentials.sum()
    return exponentials
