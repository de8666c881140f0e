"""The explanation of one target: its fields, pictures and arrays."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import pybase64

from service.api.request.options import EVIDENCE, NEEDS_RELEVANCE_MAP
from service.api.request.resolved import ResolvedExplain
from service.api.response.evidence import evidence_fields
from service.api.response.scores import class_scores
from service.imaging.pictures import Pictures
from service.imaging.render import heatmap_pixels, heatmap_png, overlay_png, own_bound
from service.imaging.render_options import RenderOptions
from service.methods import INPUT
from service.runtime.jobs import Attribution, Floats, LayerInfo, Pixels


class TargetExplanation:
    """Writes the relevance for one target in any format.

    Parameters
    ----------
    resolved : ResolvedExplain
        The request.
    logits : NDArray[float32]
        Shape (num_classes,).
    attribution : Attribution
        The relevance for the target.
    """

    def __init__(self, resolved: ResolvedExplain, logits: Floats, attribution: Attribution) -> None:
        self.resolved, self.options = resolved, resolved.options
        self.logits, self.attribution = logits, attribution
        relevance = attribution.relevance
        # without rows and columns there are no channels to sum over
        has_channels = relevance.ndim == 3 and resolved.has_picture
        self.map: Floats = relevance.sum(axis=0) if has_channels else relevance
        self.bound = self.options.bound or own_bound(self.map)
        self._drawn: dict[str, bytes] = {}

    @cached_property
    def layers(self) -> Mapping[str, TargetExplanation]:
        """The relevance for the target at each layer that the response lists, by its name."""
        return {info.name: self._at_layer(info) for info in self.resolved.layers}

    @property
    def maps(self) -> list[TargetExplanation]:
        """The explanations of which the response has pictures."""
        listed = list(self.layers.values()) if self.resolved.layers else [self]
        return [one for one in listed if one.resolved.has_picture]

    def _at_layer(self, info: LayerInfo) -> TargetExplanation:
        attribution = self.attribution
        relevance = attribution.relevance if info.name == INPUT else attribution.layers[info.name]
        return TargetExplanation(
            replace(self.resolved, layers=(), has_picture=info.has_space),
            self.logits,
            replace(attribution, relevance=relevance, by_layer=None, layers={}),
        )

    @property
    def label(self) -> str:
        """Label of the target."""
        return self.resolved.card.labels[self.attribution.target]

    def fields(self) -> dict[str, Any]:
        """The JSON fields without the pictures and arrays."""
        target = self.attribution.target
        return {
            "target": class_scores(self.resolved.card, self.logits, [target])[0],
            "bound": self.bound,
            "conservation": self.conservation(),
        }

    def json_fields(self, pictures: Pictures | None) -> dict[str, Any]:
        """The JSON fields: those of the relevance, or of that of each layer."""
        if not self.resolved.layers:
            return self.fields() | self.payload(pictures)
        layers = [
            {"layer": name, **one.fields(), **one.payload(pictures)}
            for name, one in self.layers.items()
        ]
        for layer in layers:
            del layer["target"], layer["conservation"]["by_layer"]
        return {"target": self.fields()["target"], "layers": layers}

    def payload(self, pictures: Pictures | None) -> dict[str, Any]:
        """The pictures, arrays and evidence that `output` names, as JSON fields."""
        makers = {
            "heatmap": lambda: _base64(self.draw("heatmap", pictures)),
            "overlay": lambda: _base64(self.draw("overlay", pictures)),
            "relevance": self._relevance,
            EVIDENCE: self.evidence,
        }
        return {name: makers[name]() for name in self._outputs if name in makers}

    @property
    def _outputs(self) -> list[str]:
        """The names in `output`, but for maps of what has no rows and columns."""
        has_map = self.resolved.has_picture
        return [name for name in self.options.output if has_map or name not in NEEDS_RELEVANCE_MAP]

    def files(self, pictures: Pictures | None) -> dict[str, bytes]:
        """The pictures and arrays that `output` names, as files by suffix."""
        if self.resolved.layers:
            return {
                f".{name}{suffix}": content
                for name, one in self.layers.items()
                for suffix, content in one.files(pictures).items()
            }
        makers: dict[str, tuple[str, Callable[[], bytes]]] = {
            "heatmap": (".heatmap.png", lambda: self.draw("heatmap", pictures)),
            "overlay": (".overlay.png", lambda: self.draw("overlay", pictures)),
            "relevance": (".npy", self.npy),
        }
        chosen = (makers[name] for name in self._outputs if name in makers)
        return {suffix: make() for suffix, make in chosen}

    def draw(self, name: str, pictures: Pictures | None) -> bytes:
        """The `heatmap` or the `overlay` as a PNG; it is drawn once."""
        if name not in self._drawn:
            self._drawn[name] = self._heatmap() if name == "heatmap" else self._overlay(pictures)
        return self._drawn[name]

    def heatmap(self) -> Pixels:
        """The heatmap as RGB pixels of shape (H, W, 3), without a colour bar."""
        return heatmap_pixels(self.map, self._render_options())

    def _heatmap(self) -> bytes:
        return heatmap_png(self.map, self._render_options())

    def _overlay(self, pictures: Pictures | None) -> bytes:
        """On the part of the image that the network saw."""
        if pictures is None:
            raise ValueError("an overlay needs a picture to draw on")
        return overlay_png(self.map, self._render_options(), pictures.view)

    def _render_options(self) -> RenderOptions:
        options = self.options
        return RenderOptions(
            bound=self.bound,
            side=options.size,
            cmap=options.cmap,
            image_size=self.resolved.card.input_size,
            enlarge=options.enlarge,
            overlay_style=options.overlay_style,
            color_bar=options.color_bar,
        )

    def npy(self) -> bytes:
        """The relevance as a .npy file: float32, summed over the channels or not."""
        buffer = io.BytesIO()
        np.save(buffer, self.array(), allow_pickle=False)
        return buffer.getvalue()

    def array(self) -> Floats:
        """The relevance, float32, summed over the channels or not."""
        array = self.map if self.options.channels == "sum" else self.attribution.relevance
        return np.ascontiguousarray(array, dtype="<f4")

    def _relevance(self) -> dict[str, Any]:
        array = self.array()
        as_text = self.options.relevance_format == "base64"
        data = _base64(array.data) if as_text else array
        return {"shape": list(array.shape), "dtype": "float32", "data": data}

    def evidence(self) -> dict[str, Any]:
        """The evidence about it as JSON fields."""
        findings, contrast = self.attribution.findings, self.resolved.contrast
        assert findings is not None  # noqa: S101  the job asked for them
        against = "" if contrast is None else f" rather than {self.resolved.card.labels[contrast]}"
        return evidence_fields(findings, f"{self.label}{against}")

    def conservation(self) -> dict[str, Any]:
        """The sums of the relevance at the output and at the requested layer."""
        start, layers = self.attribution.total, self.attribution.by_layer
        conserves = self.resolved.method.conserves
        positive = float(self.map.clip(min=0).sum(dtype=np.float64))
        negative = float(self.map.clip(max=0).sum(dtype=np.float64))
        arrived = positive + negative
        by_layer = None if layers is None else [vars(layer) for layer in layers]
        return {
            "start": start,
            "arrived": arrived,
            "ratio": arrived / start if conserves and start != 0 else None,
            "positive": positive,
            "negative": negative,
            "absorbed": start - arrived if conserves else None,
            "by_layer": by_layer,
        }


def _base64(content: bytes | memoryview) -> str:
    return pybase64.b64encode_as_string(content)
