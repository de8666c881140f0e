"""What a request of `infer` asks for: its images, options and outputs, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from service import strict_json
from service.api.protocols.open_inference.messages import InferRequest, RequestedOutput
from service.api.protocols.open_inference.tensors import Images
from service.api.request.options import EVIDENCE
from service.api.request.resolved import ResolvedExplain
from service.api.request.response_size import MAX_VALUES, relevance_shape
from service.errors import OptionError, OptionProblem, join_names
from service.imaging.render_options import scaled_size
from service.runtime.jobs import LayerInfo
from service.text import shorten

SCORES = ("scores", "logits")
PICTURES = ("heatmap", "heatmap_png")
OUTPUTS = (*SCORES, "relevance", *PICTURES, "explanation", EVIDENCE)
# of a request that names none: the other picture is the same one, as a file, and evidence is slow
DEFAULT_OUTPUTS = tuple(name for name in OUTPUTS if name not in ("heatmap_png", EVIDENCE))
# for clients, servers between and other codecs: not options
_RESERVED = frozenset(
    {
        *("sequence_id", "sequence_start", "sequence_end", "priority", "timeout", "headers"),
        *("binary_data_output", "content_type"),
    }
)
_RESERVED_PREFIX = "triton_"
ELSEWHERE = {
    "model": "is in the address, or `model_name`; leave it out",
    "output": f"give `outputs` in its place: {', '.join(OUTPUTS)}",
    "relevance_format": "relevance is a tensor; leave it out",
    "layers": "a tensor has one layer: give `layer`, or send them to /explain",
}
_FLOAT_FACTOR = 4  # a float in JSON takes four times the bytes of one in binary form
_PIXEL_FACTOR = 16  # a pixel of three numbers in JSON, beside a byte of a picture


@dataclass(frozen=True)
class Plan:
    """A checked request.

    Attributes
    ----------
    request : InferRequest
        With the outputs of the response.
    resolved : ResolvedExplain
        Its options.
    """

    request: InferRequest
    images: Images
    resolved: ResolvedExplain

    @property
    def names(self) -> frozenset[str]:
        """The names of its outputs."""
        return frozenset(output.name for output in self.request.outputs)

    @property
    def is_explanation(self) -> bool:
        """Whether an output needs relevance."""
        return not self.names.issubset(SCORES)

    @property
    def log_fields(self) -> Mapping[str, str]:
        """Fields for the log and the metrics."""
        fields = self.resolved.log_fields
        return fields if self.is_explanation else {"model": fields["model"]}


def options_of(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The options among the parameters of a request.

    Raises
    ------
    OptionError
        One of them has its place elsewhere, or is not JSON.
    """
    options = {
        name: value
        for name, value in parameters.items()
        if name not in _RESERVED and not name.startswith(_RESERVED_PREFIX)
    }
    problems = [OptionProblem(name, text) for name, text in ELSEWHERE.items() if name in options]
    if problems:
        raise OptionError(problems)
    targets = options.get("targets")
    if isinstance(targets, str):  # parameters are no lists
        try:
            options["targets"] = strict_json.loads(targets)
        except ValueError:
            raise OptionError.of("targets", 'must be a list as JSON: ["cat", "dog"]') from None
    return options


def timeout_s(parameters: Mapping[str, Any]) -> float:
    """The time that a request has by its parameters, in seconds; infinite without a limit.

    Raises
    ------
    OptionError
        It is not a number of microseconds.
    """
    timeout = parameters.get("timeout", 0)
    if not isinstance(timeout, int) or isinstance(timeout, bool) or timeout < 0:
        raise OptionError.of("timeout", "must be a whole number of microseconds")
    return timeout * 1e-6 or math.inf


def choose_outputs(request: InferRequest, resolved: ResolvedExplain) -> InferRequest:
    """Check the outputs of a request, or name the default ones.

    Raises
    ------
    OptionError
        There is no such output, or it does not go with the options.
    """
    if not request.outputs:
        names = [n for n in DEFAULT_OUTPUTS if n not in PICTURES or _can_draw(resolved)]
        chosen = tuple(RequestedOutput(name, is_binary=request.is_binary) for name in names)
        return replace(request, outputs=chosen)
    named = [output.name for output in request.outputs]
    for output in request.outputs:
        if output.name not in OUTPUTS:
            raise _wrong(f"there is no {shorten(output.name)!r}; there are: {join_names(OUTPUTS)}")
        if named.count(output.name) > 1:
            raise _wrong(f"{output.name} is named more than once")
        if output.n_classes and output.name not in SCORES:
            raise _wrong(f"`classification` goes with {' or '.join(SCORES)}, not {output.name}")
    if not set(named).isdisjoint(PICTURES) and not resolved.has_picture:
        raise _wrong(
            f"the layer {resolved.options.layer} has no rows and columns to draw; ask for relevance"
        )
    if "heatmap" in named and resolved.options.color_bar:
        raise OptionError.of(
            "color_bar", "makes pictures of different widths; ask for heatmap_png, or leave it out"
        )
    return request


def _can_draw(resolved: ResolvedExplain) -> bool:
    return resolved.has_picture and not resolved.options.color_bar


def check_size(plan: Plan, layers: Sequence[LayerInfo], max_picture_pixels: int) -> None:
    """Refuse a request whose response would be too large.

    Raises
    ------
    OptionError
        Says what to lower.
    """
    resolved = plan.resolved
    n_maps = len(plan.images) * len(resolved.targets)
    outputs = {output.name: output for output in plan.request.outputs}
    if "relevance" in outputs:
        n_values = n_maps * math.prod(relevance_shape(resolved, layers))
        allowed = MAX_VALUES // (1 if outputs["relevance"].is_binary else _FLOAT_FACTOR)
        if n_values > allowed:
            raise _wrong(
                f"relevance has {n_values:,} values, more than {allowed:,}; send fewer images or "
                "targets, ask for another layer, or for the output in binary form"
            )
    width, height = scaled_size(resolved.card.input_size, resolved.options.size)
    is_list = "heatmap" in outputs and not outputs["heatmap"].is_binary
    n_pictures = n_maps * sum(name in outputs for name in PICTURES)
    allowed = max_picture_pixels // (_PIXEL_FACTOR if is_list else 1)
    if n_pictures * width * height > allowed:
        raise OptionError.of(
            "size",
            f"{n_pictures} pictures of {width} x {height} are more than a response may have; "
            "give a smaller size, send fewer images, or ask for heatmap_png, or the binary form",
        )


def _wrong(detail: str) -> OptionError:
    return OptionError.of("outputs", detail)
