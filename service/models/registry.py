"""Find bundles: those that ship with the service, or a folder of the user's. Needs no torch."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from service.errors import BundleError
from service.models.card import ModelCard, read_card

SHIPPED = Path(__file__).parent.parent / "bundles"


def shipped_models() -> dict[str, Path]:
    """Names and folders of the bundles that ship."""
    return {folder.name: folder for folder in sorted(SHIPPED.iterdir()) if folder.is_dir()}


def find_bundle(model: str) -> Path:
    """Turn a model's name, or the path of a bundle, into a folder.

    Raises
    ------
    BundleError
        It is neither.
    """
    shipped = shipped_models()
    if model in shipped:
        return shipped[model]
    with suppress(OSError):  # longer than a name of a file can be
        if model and Path(model).is_dir():  # an empty path would be the present folder
            return Path(model)
    names = ", ".join(shipped) or "none"
    raise BundleError(
        f"there is no model {model!r}: it is neither a folder nor one that ships ({names})"
    )


def find_card(model: str) -> ModelCard:
    """Read the card of a model, by its name or the path of its bundle."""
    return read_card(find_bundle(model))
