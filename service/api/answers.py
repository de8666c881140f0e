"""Results into answers: JSON, a PNG, or an array file."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import orjson
import pybase64
from numpy.typing import NDArray
from PIL import Image
from starlette.responses import Response

from service.api.formats import JSON, NPY, PNG
from service.api.options import ExplainOptions, PredictOptions
from service.errors import OptionError
from service.imaging.fit import FittedImage
from service.imaging.render import heatmap_png, overlay_png, own_bound
from service.models.card import ModelCard
from service.runtime.jobs import Explanation

Floats = NDArray[np.float32]
EXPLANATION_HEADER = "X-Explanation"
_VARY = {"Vary": "Accept"}


def predict_fields(
    card: ModelCard, logits: Floats, options: PredictOptions, image: FittedImage
) -> dict[str, Any]:
    """The fields of a `PredictAnswer`."""
    best = np.argsort(-logits, kind="stable")[: options.top_k]
    return {
        "model": card.name,
        "model_sha256": card.sha256,
        "predictions": class_scores(card, logits, best.tolist()),
        "image": {"width": image.width, "height": image.height, "box": list(image.box)},
    }


def class_scores(card: ModelCard, logits: Floats, indices: list[int]) -> list[dict[str, Any]]:
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


def json_response(fields: dict[str, Any]) -> Response:
    """Answer with JSON; arrays become nested lists."""
    return Response(_json(fields), media_type=JSON, headers=_VARY)


class ExplanationAnswer:
    """An explanation, ready to be written in any format.

    Parameters
    ----------
    card : ModelCard
        Of the model that was explained.
    options : ExplainOptions
        What was asked for.
    explanation : Explanation
        What the engine found.
    image : FittedImage
        What the network saw.
    contrast : int or None
        Index of the contrast class.
    """

    def __init__(
        self,
        card: ModelCard,
        options: ExplainOptions,
        explanation: Explanation,
        image: FittedImage,
        contrast: int | None,
    ) -> None:
        self.card, self.options, self.explanation, self.image = card, options, explanation, image
        self.contrast = contrast
        self.map: Floats = explanation.relevance.sum(axis=0)
        self.bound = options.bound or own_bound(self.map)

    def respond(self, media_type: str, view: Image.Image | None) -> Response:
        """Write the answer; `view` is the picture that an overlay is drawn on."""
        if media_type == JSON:
            return json_response(self.fields() | self.payload(view))
        content = self._npy() if media_type == NPY else self._picture(view)
        header = json.dumps(self.fields(), ensure_ascii=True, separators=(",", ":"))
        return Response(
            content, media_type=media_type, headers=_VARY | {EXPLANATION_HEADER: header}
        )

    def files(self, view: Image.Image | None) -> dict[str, bytes]:
        """The answer as files, by suffix: the JSON, and what was asked for besides."""
        makers = {
            "heatmap": (".heatmap.png", self._heatmap),
            "overlay": (".overlay.png", lambda: self._overlay(view)),
            "relevance": (".npy", self._npy),
        }
        chosen = (makers[name] for name in self.options.output)
        return {suffix: make() for suffix, make in chosen} | {
            ".json": _json(self.fields() | self.payload(view))
        }

    def fields(self) -> dict[str, Any]:
        """Everything but the pictures and the arrays."""
        explanation, logits = self.explanation, self.explanation.logits
        return {
            **predict_fields(self.card, logits, self.options, self.image),
            "target": class_scores(self.card, logits, [explanation.target])[0],
            "method": self._method(),
            "bound": self.bound,
            "conservation": self._conservation(),
        }

    def payload(self, view: Image.Image | None) -> dict[str, Any]:
        """The pictures and arrays that were asked for."""
        makers = {
            "heatmap": lambda: _base64(self._heatmap()),
            "overlay": lambda: _base64(self._overlay(view)),
            "relevance": self._relevance,
        }
        return {name: makers[name]() for name in self.options.output}

    def _method(self) -> dict[str, Any]:
        contrast = None if self.contrast is None else self.card.labels[self.contrast]
        return {
            **self.options.method().describe(),
            "start": self.options.start,
            "contrast": contrast,
            "layer": self.options.layer,
            "engine": self.explanation.engine,
        }

    def _conservation(self) -> dict[str, Any]:
        start = self.explanation.start
        arrived = float(self.explanation.relevance.sum(dtype=np.float64))
        is_meant = start != 0 and self.options.method().conserves
        return {"start": start, "arrived": arrived, "ratio": arrived / start if is_meant else None}

    def _array(self) -> NDArray[np.float32]:
        array = self.map if self.options.channels == "sum" else self.explanation.relevance
        return np.ascontiguousarray(array, dtype="<f4")

    def _relevance(self) -> dict[str, Any]:
        array = self._array()
        as_text = self.options.relevance_format == "base64"
        data = _base64(array.tobytes()) if as_text else array
        return {"shape": list(array.shape), "dtype": "float32", "data": data}

    def _npy(self) -> bytes:
        buffer = io.BytesIO()
        np.save(buffer, self._array(), allow_pickle=False)
        return buffer.getvalue()

    def _picture(self, view: Image.Image | None) -> bytes:
        return self._overlay(view) if "overlay" in self.options.output else self._heatmap()

    def _heatmap(self) -> bytes:
        return heatmap_png(self.map, self.bound, self.options.cmap, self.options.size)

    def _overlay(self, view: Image.Image | None) -> bytes:
        if view is None:
            raise ValueError("an overlay needs the picture")
        return overlay_png(self.map, self.bound, self.options.cmap, self.options.size, view)


def check_output(options: ExplainOptions, media_type: str) -> None:
    """Refuse an `output` that one picture cannot hold.

    Raises
    ------
    OptionError
        The format is a PNG, and `output` is not one picture.
    """
    if media_type == PNG and options.output not in (("heatmap",), ("overlay",)):
        raise OptionError.of("output", "must be heatmap or overlay where a PNG is accepted")


def _json(fields: dict[str, Any]) -> bytes:
    return orjson.dumps(fields, option=orjson.OPT_SERIALIZE_NUMPY)


def _base64(content: bytes) -> str:
    return pybase64.b64encode(content).decode("ascii")
