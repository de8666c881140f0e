"""A resolved request: options checked against a model, with classes and methods looked up."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from service.api.request.accept import JSON, NPY, PNG
from service.api.request.class_names import class_index, target_indices
from service.api.request.default_method import with_default_method
from service.api.request.evidence import check_evidence
from service.api.request.layer_names import select_layers
from service.api.request.options import (
    EVIDENCE,
    NEEDS_RELEVANCE_MAP,
    PICTURES,
    ExplainOptions,
    PredictOptions,
)
from service.errors import OptionError, join_names
from service.methods import (
    ATTRIBUTORS,
    INPUT,
    SAMPLES_OF,
    Method,
    all_parameters,
)
from service.models.card import ModelCard
from service.runtime.jobs import (
    ExplainJob,
    Job,
    LayerInfo,
    Pixels,
    PredictJob,
    count_passes,
)

# options that `ResolvedExplain` has resolved: the canonical text has the results instead
_METHOD_OPTIONS = {"composite", "attributor", "layer", "layers", *all_parameters()}
_TARGET_OPTIONS = {"target", "contrast", "targets"}


@dataclass(frozen=True)
class ResolvedRequest(ABC):
    """A request without its image.

    Attributes
    ----------
    card : ModelCard
        The model's card.
    options : PredictOptions
        The options as they were sent.
    media_type : str
        Format of the response.
    """

    card: ModelCard
    options: PredictOptions
    media_type: str

    @abstractmethod
    def job(self, pixels: Pixels) -> Job:
        """Make the job for an image."""

    @abstractmethod
    def check_passes(self, max_passes: int, n_images: int = 1) -> None:
        """Refuse a request whose images together take more passes through the network.

        Raises
        ------
        OptionError
            Names what to lower.
        """

    @abstractmethod
    def canonical(self) -> str:
        """A text that two requests have in common if, and only if, they have the same response.

        The model is in it by name only.
        """

    @property
    def log_fields(self) -> Mapping[str, str]:
        """Fields for the log and the metrics."""
        return {"model": self.card.name}

    def _canonical(self, resolved_options: set[str], *resolved: object) -> str:
        names = [name for name in type(self.options).model_fields if name not in resolved_options]
        options = [(name, getattr(self.options, name)) for name in names]
        kind = type(self).__name__
        return repr((kind, self.media_type, self.card.name, options, *resolved))


@dataclass(frozen=True)
class ResolvedPredict(ResolvedRequest):
    """A request to `/predict` without its image."""

    def job(self, pixels: Pixels) -> PredictJob:
        """Make the job for an image."""
        return PredictJob(pixels, self.card.name, self.card.digest)

    def check_passes(self, max_passes: int, n_images: int = 1) -> None:
        """Allow it: a prediction takes one pass."""

    def canonical(self) -> str:
        """A text that two requests have in common if, and only if, they have the same response."""
        return self._canonical({"model"})


@dataclass(frozen=True)
class ResolvedExplain(ResolvedRequest):
    """A request to `/explain` without its image.

    Attributes
    ----------
    method : Method
        The attributor, the rules and the layer.
    targets : tuple of (int or None)
        Indices of the classes to explain; None for the predicted one.
    contrast : int or None
        Index of the class to explain each target against.
    has_picture : bool
        Whether the relevance has rows and columns.
    layers : tuple of LayerInfo
        The layers that the response lists; empty where it has the relevance of one.
    """

    options: ExplainOptions
    method: Method
    targets: tuple[int | None, ...]
    contrast: int | None
    has_picture: bool
    layers: tuple[LayerInfo, ...] = ()

    @property
    def has_list(self) -> bool:
        """Whether the response has a list of explanations, as `targets` asks for."""
        return self.options.targets is not None

    @property
    def has_evidence(self) -> bool:
        """Whether the response says if each explanation is right about the image."""
        return EVIDENCE in self.options.output

    @property
    def log_fields(self) -> Mapping[str, str]:
        """Fields for the log and the metrics."""
        return {"model": self.card.name, "composite": self.method.composite}

    def job(self, pixels: Pixels) -> ExplainJob:
        """Make the job for an image."""
        return ExplainJob(
            *(pixels, self.card.name, self.method, self.targets, self.contrast),
            *(self.options.start, self.card.digest, self.has_evidence),
        )

    def check_passes(self, max_passes: int, n_images: int = 1) -> None:
        """Refuse a request whose images together take more passes through the network.

        Raises
        ------
        OptionError
            Names what to lower.
        """
        height, width = self.card.input_size
        n_passes = n_images * count_passes(
            *(self.method, len(self.targets), (height, width)), has_evidence=self.has_evidence
        )
        if n_passes <= max_passes:
            return
        option, formula, advice = self._describe_passes()
        if n_images > 1:
            formula += f" times {n_images} images"
            advice += ", or send fewer images"
        raise OptionError.of(
            option,
            f"takes {n_passes} passes through the network ({formula}); this service allows "
            f"{max_passes}: {advice}",
        )

    def _describe_passes(self) -> tuple[str, str, str]:
        """The option that the number of passes depends on, how, and what lowers it."""
        samples = SAMPLES_OF.get(self.method.attributor)
        if self.method.attributor == "occlusion":
            return "stride", "windows", "raise it"
        found = ("targets", "targets", "give fewer")
        if samples:
            formula = f"{samples} times the number of targets"
            found = (samples, formula, "lower it, or give fewer targets")
        if self.has_evidence:
            option, formula, advice = found
            return option, f"{formula}, and {EVIDENCE}", f"{advice}, or leave {EVIDENCE} out"
        return found

    def canonical(self) -> str:
        """A text that two requests have in common if, and only if, they have the same response."""
        return self._canonical(
            {"model", *_METHOD_OPTIONS, *_TARGET_OPTIONS},
            *(self.method, self.targets, self.contrast, self.has_list),
        )


def resolve_predict(
    options: PredictOptions,
    card: ModelCard,
    layers: Sequence[LayerInfo] = (),
    media_type: str = JSON,
) -> ResolvedPredict:
    """Resolve a request to `/predict`, of which nothing depends on the model."""
    return ResolvedPredict(card, options, media_type)


def resolve_explain(
    options: ExplainOptions,
    card: ModelCard,
    layers: Sequence[LayerInfo] = (),
    media_type: str = JSON,
) -> ResolvedExplain:
    """Resolve a request to `/explain` against a model.

    Parameters
    ----------
    options : ExplainOptions
        The options as they were sent.
    card : ModelCard
        The model's card.
    layers : sequence of LayerInfo
        The model's layers; empty while it is not loaded: then any layer passes.
    media_type : str
        Format of the response.

    Raises
    ------
    OptionError
        There is no such class, composite, parameter or layer, the options contradict each other,
        or the format cannot hold what `output` and `targets` ask for.
    """
    options = with_default_method(options, card)
    method = options.method(card)
    listed: tuple[LayerInfo, ...] = ()
    if options.layers is not None:
        listed = select_layers(options.layers, options.layer, options.attributor, layers)
        names = tuple(info.name for info in listed) or (INPUT,)
        method = replace(method, layers=names, sums_channels=options.channels == "sum")
    _check_start(options)
    has_picture = _has_picture(options.layer, layers)
    contrast = class_index("contrast", options.contrast, card)
    targets = target_indices(options, card)
    if contrast is not None and contrast in targets:
        raise OptionError.of("contrast", "is the class that is explained; give another class")
    check_evidence(options, media_type, has_picture=has_picture)
    _check_output(options, media_type, has_picture=has_picture)
    return ResolvedExplain(
        card, options, media_type, method, targets, contrast, has_picture, listed
    )


def _check_start(options: ExplainOptions) -> None:
    if options.start == "logit" and not ATTRIBUTORS[options.attributor].is_modified:
        raise OptionError.of(
            "start", f"must be one_hot with {options.attributor}, which explains the logit itself"
        )


def _has_picture(layer: str, layers: Sequence[LayerInfo]) -> bool:
    by_name = {info.name: info for info in layers}
    if layer == INPUT or not layers:
        return True
    if layer not in by_name:
        names = join_names(dict.fromkeys([INPUT, *by_name]))
        raise OptionError.of("layer", f"there is no such layer; there are: {names}")
    return by_name[layer].has_space


def _check_output(options: ExplainOptions, media_type: str, *, has_picture: bool) -> None:
    """Refuse what a format cannot hold: several classes, two pictures, a picture without space."""
    for name in ("targets", "layers"):
        if media_type != JSON and getattr(options, name) is not None:
            raise OptionError.of(name, f"fit into JSON only: accept {JSON}")
    needs_map = not NEEDS_RELEVANCE_MAP.isdisjoint(options.output)
    if media_type != NPY and needs_map and not has_picture:
        raise OptionError.of(
            "output",
            f"the layer {options.layer} has no rows and columns to draw: give output=relevance, "
            f"and accept {JSON} or {NPY}",
        )
    if media_type == PNG and (len(options.output) > 1 or options.output[0] not in PICTURES):
        names = join_names(PICTURES)
        raise OptionError.of("output", f"must be one of {names} where a PNG is accepted")
