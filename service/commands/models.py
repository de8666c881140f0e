"""`lrpserve models`: a table of the models that can be served."""

from __future__ import annotations

from service.models.card import read_card
from service.models.registry import find_bundle, find_models
from service.settings import Settings
from service.terminal import print_table

_HEADERS = ("model", "architecture", "classes", "input", "test accuracy", "data")


def list_models(settings: Settings) -> None:
    """Print the models; * marks the default.

    Raises
    ------
    BundleError
        The default model does not exist, or a card is invalid.
    """
    chosen = find_bundle(settings.model, settings.models)
    bundles = find_models(settings.models)
    if chosen not in bundles.values():
        bundles[settings.model] = chosen
    rows = []
    for name, folder in bundles.items():
        card = read_card(folder)
        test = card.accuracy.get("test")
        accuracy = f"{test.accuracy:.2%} (n={test.n})" if test else "-"
        size = "x".join(str(side) for side in card.input_size)
        mark = " *" if folder == chosen else ""
        n_classes = str(len(card.labels))
        rows.append(
            (name + mark, card.architecture, n_classes, size, accuracy, card.provenance.data)
        )
    print_table(_HEADERS, rows)
