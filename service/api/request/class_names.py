"""The classes that a request names, by index or by label."""

from __future__ import annotations

import re

from service.api.request.options import ExplainOptions
from service.errors import OptionError, OptionProblem, join_names
from service.models.card import ModelCard

_FORCED_LABEL = "label:"
_NO_COMMAS = "commas do not separate classes: repeat the option, or give a list in JSON"


def class_index(option: str, name: str | None, card: ModelCard) -> int | None:
    """Turn the name of a class into its index.

    Parameters
    ----------
    option : str
        The option that has the name, for the error.
    name : str or None
        All digits are an index, anything else is a label; `label:7` forces a label.
    card : ModelCard
        The model's card, with the labels.

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
        allowed = f"an index below {len(card.labels)}, or one of: {join_names(card.labels)}"
        several = f"; {_NO_COMMAS}" if option == "targets" and "," in label else ""
        raise OptionError.of(option, f"must be {allowed}{several}")
    return card.labels.index(label)


def target_indices(options: ExplainOptions, card: ModelCard) -> tuple[int | None, ...]:
    """Indices of the classes to explain; None for the predicted one.

    Raises
    ------
    OptionError
        There is no such class, one is named twice, or `target` or `contrast` is beside `targets`.
    """
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
