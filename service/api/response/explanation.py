"""The response to `/explain`: as JSON, as a PNG, or as an array file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from itertools import accumulate
from typing import Any

import pybase64
from starlette.responses import Response

from service.api.executor import is_small
from service.api.request.accept import JSON, NPY
from service.api.request.options import NEEDS_IMAGE, NEEDS_RELEVANCE_MAP
from service.api.request.resolved import ResolvedExplain
from service.api.response.scores import VARY, json_bytes, json_response, predict_fields
from service.api.response.target import TargetExplanation
from service.imaging.fit import FittedImage
from service.imaging.pictures import Pictures
from service.runtime.jobs import Explanation

EXPLANATION_HEADER = "X-Explanation"
MAX_HEADER = 6000  # characters; servers and proxies accept 8 KB of headers in all
MAX_LISTED = 40  # entries of a list in the header, predictions apart
# a label that is safe as a part of a file's name, on any system; digits alone would be an index
_SAFE_LABEL = re.compile(r"(?!\d+$)[^\W_](?:[\w ,.'()+-]{0,58}[\w)])?")


class ExplanationRenderer:
    """Writes the response of an explanation in any format.

    Parameters
    ----------
    resolved : ResolvedExplain
        The request.
    explanation : Explanation
        The result of its job.
    image : FittedImage
        The image as the network saw it.
    """

    def __init__(
        self, resolved: ResolvedExplain, explanation: Explanation, image: FittedImage
    ) -> None:
        self.resolved, self.explanation, self.image = resolved, explanation, image
        self.targets = [
            TargetExplanation(resolved, explanation.logits, attribution)
            for attribution in explanation.attributions
        ]
        self._image_drawn: dict[str, bytes] = {}

    @property
    def is_small(self) -> bool:
        """Whether `render` is small work."""
        options = self.resolved.options
        n_pixels = options.size**2 if "heatmap" in options.output else 0
        n_values = self.explanation.attributions[0].relevance.size
        is_one = (
            len(self.targets) == 1
            and not self.resolved.layers
            and NEEDS_IMAGE.isdisjoint(options.output)
        )
        is_plain = options.enlarge != "smooth" and not options.color_bar
        return is_one and is_plain and is_small(n_pixels, n_values)

    def steps(self, pictures: Pictures | None) -> list[Callable[[], object]]:
        """Draw each picture of the response; `render` draws those that are left."""
        if self.resolved.media_type == NPY:
            return []
        maps = [name for name in self.resolved.options.output if name in NEEDS_RELEVANCE_MAP]
        images = self._image_names(pictures)
        return [
            *(
                partial(one.draw, name, pictures)
                for target in self.targets
                for one in target.maps
                for name in maps
            ),
            *(partial(self._draw_image, name, pictures) for name in images),
        ]

    def render(self, media_type: str, pictures: Pictures | None) -> Response:
        """Write the response; `pictures` are those of the image."""
        if media_type == JSON:
            return json_response(self.fields(pictures))
        (target,) = self.targets
        content = target.npy() if media_type == NPY else self._png(target, pictures)
        header = header_text(self._common_fields() | target.fields())
        return Response(content, media_type=media_type, headers=VARY | {EXPLANATION_HEADER: header})

    def files(self, pictures: Pictures | None) -> dict[str, bytes]:
        """The response as files, by suffix: the JSON, and what `output` names."""
        files = {".json": json_bytes(self.fields(pictures))}
        files |= {f".{name}.png": png for name, png in self._image_pngs(pictures).items()}
        for target in self.targets:
            prefix = f".{_file_name(target)}" if self.resolved.has_list else ""
            files |= {f"{prefix}{suffix}": data for suffix, data in target.files(pictures).items()}
        return files

    def fields(self, pictures: Pictures | None) -> dict[str, Any]:
        """The fields of the JSON response."""
        explanations = [target.json_fields(pictures) for target in self.targets]
        fields = self._common_fields()
        pngs = self._image_pngs(pictures)
        fields["image"] |= {name: pybase64.b64encode_as_string(png) for name, png in pngs.items()}
        if self.resolved.has_list:
            return fields | {"explanations": explanations}
        return fields | explanations[0]

    def description(self) -> dict[str, Any]:
        """The fields of the JSON response without pictures and arrays."""
        targets = [target.fields() for target in self.targets]
        own = {"explanations": targets} if self.resolved.has_list else targets[0]
        return self._common_fields() | own

    def _common_fields(self) -> dict[str, Any]:
        resolved, explanation = self.resolved, self.explanation
        return {
            **predict_fields(resolved.card, explanation.logits, resolved.options, self.image),
            "method": self.method(),
            "layers_without_rule": list(explanation.layers_without_rule),
        }

    def method(self) -> dict[str, Any]:
        """Every effective parameter of the method."""
        resolved = self.resolved
        index = resolved.contrast
        return {
            **resolved.method.describe(),
            "start": self.explanation.start,
            "contrast": None if index is None else resolved.card.labels[index],
            "layer": None if resolved.layers else resolved.method.layer,
            "engine": self.explanation.engine,
        }

    def _png(self, target: TargetExplanation, pictures: Pictures | None) -> bytes:
        (name,) = self.resolved.options.output
        return self._image_pngs(pictures).get(name) or target.draw(name, pictures)

    def _image_pngs(self, pictures: Pictures | None) -> dict[str, bytes]:
        return {name: self._draw_image(name, pictures) for name in self._image_names(pictures)}

    def _image_names(self, pictures: Pictures | None) -> list[str]:
        names = self.resolved.options.output if pictures else ()
        return [name for name in names if name in NEEDS_IMAGE - NEEDS_RELEVANCE_MAP]

    def _draw_image(self, name: str, pictures: Pictures | None) -> bytes:
        """A picture of the image itself; it is drawn once."""
        if name not in self._image_drawn and pictures:
            self._image_drawn |= pictures.pngs([name])
        return self._image_drawn[name]


def header_text(fields: dict[str, Any]) -> str:
    """The fields of an explanation as ASCII JSON, without lists too long for a header."""
    fields = _without_lists(fields, MAX_LISTED)
    n_left = MAX_HEADER - len(_ascii(fields | {"predictions": []}))
    if n_left < 0:
        fields = _without_lists(fields, 0)
        n_left = MAX_HEADER - len(_ascii(fields | {"predictions": []}))
    ends = accumulate(len(_ascii(score)) + 1 for score in fields["predictions"])
    n_fitting = sum(end <= n_left for end in ends)
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
        name: {key: item for key, item in value.items() if key not in long}
        if isinstance(value, dict)
        else value
        for name, value in fields.items()
        if name not in long
    }


def _file_name(target: TargetExplanation) -> str:
    label = target.label
    return label if _SAFE_LABEL.fullmatch(label) else str(target.attribution.target)


def _ascii(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))
