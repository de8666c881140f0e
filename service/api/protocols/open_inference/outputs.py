"""The output tensors of computed images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from service.api.executor import is_small
from service.api.inference import Computed
from service.api.protocols.open_inference.messages import OutputTensor, RequestedOutput
from service.api.protocols.open_inference.plan import PICTURES
from service.api.request.options import EVIDENCE
from service.api.response.explanation import ExplanationRenderer
from service.api.response.scores import json_bytes, probabilities
from service.api.response.target import TargetExplanation
from service.models.card import ModelCard

_DATATYPES = {np.dtype(np.float32): "FP32", np.dtype(np.uint8): "UINT8"}


def is_small_item(computed: Computed, outputs: Sequence[RequestedOutput]) -> bool:
    """Whether `make_item` is work for the event loop."""
    if any(output.name in PICTURES for output in outputs):
        return False
    if not isinstance(computed.renderer, ExplanationRenderer):
        return True
    targets = computed.renderer.targets
    return is_small(0, sum(target.attribution.relevance.size for target in targets))


def make_item(computed: Computed, outputs: Sequence[RequestedOutput]) -> list[Any]:
    """The elements of one image in each of the outputs: arrays, or bytes, or lists of bytes."""
    return [_element(computed, output) for output in outputs]


def make_tensor(output: RequestedOutput, elements: Sequence[Any]) -> OutputTensor:
    """Join the elements of all images in an output."""
    if isinstance(elements[0], np.ndarray):
        array = np.stack(elements)
        return OutputTensor(output.name, _DATATYPES[array.dtype], array.shape, array)
    is_text = output.name not in PICTURES
    if isinstance(elements[0], bytes):
        return OutputTensor(output.name, "BYTES", (len(elements),), list(elements), is_text)
    shape = (len(elements), len(elements[0]))
    return OutputTensor(output.name, "BYTES", shape, [b for row in elements for b in row], is_text)


def size_of(tensors: Sequence[OutputTensor]) -> int:
    """Bytes of all tensors in binary form, without the lengths of elements."""
    return sum(
        tensor.data.nbytes if isinstance(tensor.data, np.ndarray) else sum(map(len, tensor.data))
        for tensor in tensors
    )


def _element(computed: Computed, output: RequestedOutput) -> Any:
    if output.name == "logits":
        return _scores(computed.result.logits, output, computed.resolved.card)
    if output.name == "scores":
        values = probabilities(computed.result.logits).astype(np.float32)
        return _scores(values, output, computed.resolved.card)
    renderer = computed.renderer
    assert isinstance(renderer, ExplanationRenderer)  # noqa: S101  the plan says so
    if output.name == "explanation":
        return json_bytes(renderer.description())
    if output.name == EVIDENCE:
        found = [target.evidence() for target in renderer.targets]
        return json_bytes(found if renderer.resolved.has_list else found[0])
    elements = [_map(target, output.name) for target in renderer.targets]
    if not renderer.resolved.has_list:
        return elements[0]
    return np.stack(elements) if isinstance(elements[0], np.ndarray) else elements


def _map(target: TargetExplanation, name: str) -> Any:
    if name == "relevance":
        return target.array()
    return target.heatmap() if name == "heatmap" else target.draw("heatmap", None)


def _scores(values: np.ndarray, output: RequestedOutput, card: ModelCard) -> Any:
    """The values of all classes, or `value:index:label` of the best ones."""
    if not output.n_classes:
        return values
    best = np.argsort(-values, kind="stable")[: output.n_classes].tolist()
    return [f"{values[index]:f}:{index}:{card.labels[index]}".encode() for index in best]
