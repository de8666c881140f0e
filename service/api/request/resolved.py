"""What an explanation is asked for, with every name resolved against a model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from service.api.request.options import ExplainOptions
from service.errors import OptionError, OptionProblem
from service.methods import ATTRIBUTORS, INPUT, Method
from service.models.card import ModelCard
from service.runtime.jobs import ExplainJob, LayerInfo, Pixels

_FORCED_LABEL = "label:"
_SHOWN = 20  # of a thousand labels or layers an error names no more than this


@dataclass(frozen=True)
class ResolvedRequest:
    """Options that go together, and with the model.

    Attributes
    ----------
    card : ModelCard
        Of the model that is explained.
    options : ExplainOptions
        What was asked for.
    method : Method
        The attributor, the rules and the layer.
    targets : tuple of (int or None)
        Indices of the classes to explain; None for the predicted one.
    contrast : int or None
        Index of the class to explain each target against.
    has_picture : bool
        Whether the relevance has rows and columns.
    """

    card: ModelCard
    options: ExplainOptions
    method: Method
    targets: tuple[int | None, ...]
    contrast: int | None
    has_picture: bool

    @property
    def resolved(self) -> tuple[object, ...]:
        """What is explained and how, whatever words it was asked in."""
        has_list = self.options.targets is not None  # then so has the answer, also of one class
        return self.method, self.targets, self.contrast, self.options.start, has_list

    def job(self, pixels: Pixels) -> ExplainJob:
        """Ask it about an image, as `ExplainJob` has it."""
        return ExplainJob(
            pixels, self.card.name, self.method, self.targets, self.contrast, self.options.start
        )


def resolve(
    options: ExplainOptions, card: ModelCard, layers: Sequence[LayerInfo] = ()
) -> ResolvedRequest:
    """Resolve options against a model.

    Parameters
    ----------
    options : ExplainOptions
        What was asked for.
    card : ModelCard
        Of the model.
    layers : sequence of LayerInfo
        Its layers; none where it is not loaded yet: then any layer passes.

    Raises
    ------
    OptionError
        There is no such class, composite, parameter or layer, or the options do not go together.
    """
    method = options.method(card)
    _check_start(options)
    has_picture = _has_picture(options.layer, layers)
    contrast = class_index("contrast", options.contrast, card)
    targets = _target_indices(options, card)
    if contrast is not None and contrast in targets:
        raise OptionError.of("contrast", "is the class that is explained; give another class")
    return ResolvedRequest(card, options, method, targets, contrast, has_picture)


def class_index(option: str, name: str | None, card: ModelCard) -> int | None:
    """Turn a class, as it was asked for, into its index.

    Parameters
    ----------
    option : str
        Where it was asked for; the error names it.
    name : str or None
        All digits are an index, anything else is a label; `label:7` forces a label.
    card : ModelCard
        Its labels.

    Raises
    ------
    OptionError
        There is no such class.
    """
    if name is None:
        return None
    if re.fullmatch("[0-9]+", name):
        # no more digits than any number of classes has: int() refuses thousands of them
        index = int(name) if len(name) < 10 else len(card.labels)
        if index >= len(card.labels):
            raise OptionError.of(option, f"must be below {len(card.labels)}, or a label")
        return index
    label = name.removeprefix(_FORCED_LABEL)
    if label not in card.labels:
        known = f"an index below {len(card.labels)}, or one of: {_some(card.labels)}"
        raise OptionError.of(option, f"must be {known}")
    return card.labels.index(label)


def _target_indices(options: ExplainOptions, card: ModelCard) -> tuple[int | None, ...]:
    if options.targets is None:
        return (class_index("target", options.target, card),)
    single = {"target": options.target, "contrast": options.contrast}
    surplus = [name for name, value in single.items() if value is not None]
    if surplus:
        detail = "does not go with `targets`; leave one of them out"
        raise OptionError([OptionProblem(name, detail) for name in surplus])
    indices = tuple(class_index("targets", name, card) for name in options.targets)
    if len(set(indices)) < len(indices):
        raise OptionError.of("targets", "names a class more than once")
    return indices


def _check_start(options: ExplainOptions) -> None:
    if options.start != "one_hot" and not ATTRIBUTORS[options.attributor].is_modified:
        raise OptionError.of(
            "start", f"must be one_hot with {options.attributor}, which explains the logit itself"
        )


def _has_picture(layer: str, layers: Sequence[LayerInfo]) -> bool:
    found = {one.name: one for one in layers}
    if layer == INPUT or not layers:
        return True
    if layer not in found:
        names = list(dict.fromkeys([INPUT, *found]))
        raise OptionError.of("layer", f"there is no such layer; there are: {_some(names)}")
    return found[layer].has_space


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
