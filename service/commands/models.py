"""`lrpserve models`: a table of the models that can be served."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from service.models.card import read_card
from service.models.registry import find_bundle, find_models
from service.settings import Settings


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
    table = Table("model", "architecture", "classes", "input", "test accuracy", "data", box=None)
    for name, folder in bundles.items():
        card = read_card(folder)
        test = card.accuracy.get("test")
        accuracy = f"{test.accuracy:.2%} (n={test.n})" if test else "-"
        size = "x".join(str(side) for side in card.input_size)
        mark = " *" if folder == chosen else ""
        table.add_row(
            name + mark,
            card.architecture,
            str(len(card.labels)),
            size,
            accuracy,
            card.provenance.data,
        )
    Console().print(table)
