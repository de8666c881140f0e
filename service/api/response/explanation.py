"""Results into answers: JSON, a PNG, or an array file."""

from __future__ import annotations

import json
import re
from itertools import accumulate
from typing import Any

import orjson
from PIL import Image
from starlette.responses import Response

from service.api.request.accept import JSON, NPY, PNG
from service.api.request.resolved import ResolvedRequest
from service.api.response.scores import predict_fields
from service.api.response.target import TargetExplanation
from service.errors import OptionError
from service.imaging.fit import FittedImage
from service.runtime.jobs import Explanation

EXPLANATION_HEADER = "X-Explanation"
MAX_HEADER = 6000  # characters; servers and proxies take 8 KB of headers in all
MAX_LISTED = 40  # entries of a list in the header, predictions apart
_SMALL_PIXELS, _SMALL_VALUES = 1 << 16, 1 << 13
_VARY = {"Vary": "Accept"}
# a label that is safe as a part of a file's name, on any system; digits alone would be an index
_SAFE_LABEL = re.compile(r"(?!\d+$)[^\W_](?:[\w ,.'()+-]{0,58}[\w)])?")


def json_response(fields: dict[str, Any]) -> Response:
    """Answer with JSON; arrays become nested lists."""
    return Response(_json(fields), media_type=JSON, headers=_VARY)


class ExplanationResponse:
    """An explanation, ready to be written in any format.

    Parameters
    ----------
    resolved : ResolvedRequest
        What was asked for.
    explanation : Explanation
        What the engine found.
    image : FittedImage
        What the network saw.
    """

    def __init__(
        self, resolved: ResolvedRequest, explanation: Explanation, image: FittedImage
    ) -> None:
        self.resolved, self.explanation, self.image = resolved, explanation, image
        self.parts = [
            TargetExplanation(resolved, explanation.logits, attribution)
            for attribution in explanation.attributions
        ]

    @property
    def has_list(self) -> bool:
        """Whether the answer has a list of explanations, as `targets` asks for."""
        return self.resolved.options.targets is not None

    @property
    def is_small(self) -> bool:
        """Whether `respond` takes well below a millisecond."""
        options = self.resolved.options
        n_pixels = options.size**2 if "heatmap" in options.output else 0
        n_values = self.explanation.attributions[0].relevance.size
        is_one = len(self.parts) == 1 and "overlay" not in options.output
        is_plain = options.enlarge != "smooth" and not options.color_bar
        return is_one and is_plain and n_pixels <= _SMALL_PIXELS and n_values <= _SMALL_VALUES

    def respond(self, media_type: str, view: Image.Image | None) -> Response:
        """Write the answer; `view` is the picture that an overlay is drawn on."""
        if media_type == JSON:
            return json_response(self.full_fields(view))
        (part,) = self.parts
        content = part.npy() if media_type == NPY else self._picture(part, view)
        header = header_text(self._common_fields() | part.fields())
        return Response(
            content, media_type=media_type, headers=_VARY | {EXPLANATION_HEADER: header}
        )

    def files(self, view: Image.Image | None) -> dict[str, bytes]:
        """The answer as files, by suffix: the JSON, and for each class what was asked for."""
        found = {".json": _json(self.full_fields(view))}
        for part in self.parts:
            prefix = f".{_file_name(part)}" if self.has_list else ""
            found |= {f"{prefix}{suffix}": made for suffix, made in part.files(view).items()}
        return found

    def full_fields(self, view: Image.Image | None) -> dict[str, Any]:
        """Everything, as JSON has it."""
        explanations = [part.fields() | part.payload(view) for part in self.parts]
        if self.has_list:
            return self._common_fields() | {"explanations": explanations}
        return self._common_fields() | explanations[0]

    def _common_fields(self) -> dict[str, Any]:
        resolved, explanation = self.resolved, self.explanation
        return {
            **predict_fields(resolved.card, explanation.logits, resolved.options, self.image),
            "method": self._method(),
            "layers_without_rule": list(explanation.layers_without_rule),
        }

    def _method(self) -> dict[str, Any]:
        resolved = self.resolved
        index = resolved.contrast
        return {
            **resolved.method.describe(),
            "start": resolved.options.start,
            "contrast": None if index is None else resolved.card.labels[index],
            "layer": resolved.method.layer,
            "engine": self.explanation.engine,
        }

    def _picture(self, part: TargetExplanation, view: Image.Image | None) -> bytes:
        has_overlay = "overlay" in self.resolved.options.output
        return part.overlay(view) if has_overlay else part.heatmap()


def check_output(resolved: ResolvedRequest, media_type: str) -> None:
    """Refuse an answer that cannot be given in a format.

    Raises
    ------
    OptionError
        Several classes do not fit into one picture or array; the format is a PNG, and `output` is
        not one picture; or a picture is asked for of a layer that has none.
    """
    options = resolved.options
    if media_type != JSON and options.targets is not None:
        raise OptionError.of("targets", f"fit into JSON only: accept {JSON}")
    if media_type != NPY and options.output != ("relevance",) and not resolved.has_picture:
        raise OptionError.of(
            "output",
            f"the layer {options.layer} has no rows and columns to draw: give output=relevance, "
            f"and accept {JSON} or {NPY}",
        )
    if media_type == PNG and options.output not in (("heatmap",), ("overlay",)):
        raise OptionError.of("output", "must be heatmap or overlay where a PNG is accepted")


def header_text(fields: dict[str, Any]) -> str:
    """The fields of an explanation as ASCII JSON, without what makes a header too long."""
    fields = _without_lists(fields, MAX_LISTED)
    room = MAX_HEADER - len(_ascii(fields | {"predictions": []}))
    if room < 0:
        fields = _without_lists(fields, 0)
        room = MAX_HEADER - len(_ascii(fields | {"predictions": []}))
    ends = accumulate(len(_ascii(score)) + 1 for score in fields["predictions"])
    n_fitting = sum(end <= room for end in ends)
    return _ascii(fields | {"predictions": fields["predictions"][:n_fitting]})


def _without_lists(fields: dict[str, Any], limit: int) -> dict[str, Any]:
    """Leave out the lists that grow with the network, or with the rules, beyond a limit."""
    places = (
        (fields["conservation"], "by_layer"),
        (fields["method"], "rules"),
        (fields, "layers_without_rule"),
    )
    long = [name for place, name in places if len(place.get(name) or ()) > limit]
    return {
        name: {key: one for key, one in value.items() if key not in long}
        if isinstance(value, dict)
        else value
        for name, value in fields.items()
        if name not in long
    }


def _file_name(part: TargetExplanation) -> str:
    label = part.label
    return label if _SAFE_LABEL.fullmatch(label) else str(part.attribution.target)


def _ascii(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))


def _json(fields: dict[str, Any]) -> bytes:
    return orjson.dumps(fields, option=orjson.OPT_SERIALIZE_NUMPY)
