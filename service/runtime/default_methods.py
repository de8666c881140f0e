"""The methods that apply where a request names none: of the service, and of a model's card."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from service.errors import BundleError, OptionError
from service.lrp.explainer import Explainer
from service.methods import (
    ATTRIBUTORS,
    COMPOSITES,
    DEFAULT_ATTRIBUTOR,
    PLAIN,
    Method,
    Rules,
    Start,
    make_method,
)
from service.models.card import CARD_FILE, ModelCard


def check_default_method(
    card: ModelCard, own_composites: Mapping[str, Rules], explainer: Explainer
) -> None:
    """Refuse a card whose default method does not fit the network: no request would work.

    Raises
    ------
    BundleError
        It does not fit.
    """
    if (default := card.default_method) is None:
        return
    attributor = default.attributor or DEFAULT_ATTRIBUTOR
    try:
        explainer.prepare(
            make_method(
                *(default.composite, attributor, {}),
                input_size=card.input_size,
                own=own_composites,
            )
        )
    except OptionError as error:
        raise BundleError(
            f"the default_method of the model {card.name} does not fit its network: "
            f"{error.detail}. Change it in {CARD_FILE}, or remove it"
        ) from error


def find_default_starts(explainer: Explainer) -> dict[str, Start]:
    """The default output relevance of each composite that fits the network."""
    starts: dict[str, Start] = {}
    for name in COMPOSITES:
        with suppress(OptionError):  # such as a box for a network whose first layer is none
            method = make_method(name, DEFAULT_ATTRIBUTOR, {})
            starts[name] = explainer.default_start(method)
    return starts


def find_default_method(
    card: ModelCard, own_composites: Mapping[str, Rules], explainer: Explainer
) -> Method:
    """The method that a model is measured and checked with: its default in a single pass.

    It has the composite of the card, else that of the service; a network that cannot be given
    rules has plain gradients.
    """
    default = card.default_method
    is_modified = default and ATTRIBUTORS[default.attributor or DEFAULT_ATTRIBUTOR].is_modified
    composite = default.composite if default and is_modified else None
    method = make_method(composite, DEFAULT_ATTRIBUTOR, {}, own=own_composites)
    try:
        explainer.prepare(method)
    except OptionError:
        return make_method(PLAIN, DEFAULT_ATTRIBUTOR, {})
    return method
