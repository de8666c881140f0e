"""Lookup of the bundles that a running service can load. Needs no torch."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from service.errors import BundleError, NotFound, join_names
from service.files import read_file
from service.models.card import CARD_FILE, WEIGHTS_FILE, ModelCard, read_card
from service.models.registry import bundles_in
from service.text import shorten


@dataclass(frozen=True)
class FoundBundle:
    """A bundle of a model: its folder, and its card."""

    folder: Path
    card: ModelCard

    def check_weights(self) -> None:
        """Check that the weights are those of the card.

        Raises
        ------
        BundleError
            They are not, or cannot be read.
        """
        path = self.folder / WEIGHTS_FILE
        try:
            content = read_file(path, path.stat().st_size)
        except OSError as error:
            raise BundleError(f"{path} cannot be read: {error.strerror}") from error
        if hashlib.sha256(content).hexdigest() != self.card.sha256:
            raise BundleError(
                f"{path} is not the file that {CARD_FILE} describes: its sha256 differs"
            )


def find_again(name: str, folder: Path, alias: str | None = None) -> FoundBundle:
    """Read the card of a bundle that has been loaded before.

    Parameters
    ----------
    name : str
        Name under which it is served.
    folder : Path
        Its folder.
    alias : str, optional
        The same name, where it is not that in the card (the setting LRPSERVE_MODEL_NAME).

    Raises
    ------
    BundleError
        The card is missing or invalid, or names another model.
    """
    card = read_card(folder, alias)
    if card.name != name:
        raise BundleError(
            f"the bundle {folder} has the name {card.name!r} now: change `name` in its {CARD_FILE} "
            f"to {name!r}, or load {card.name!r}"
        )
    return FoundBundle(folder, card)


def find_new(name: str, folder: Path | None) -> FoundBundle:
    """Find a bundle by the name in its card.

    Parameters
    ----------
    name : str
        The name.
    folder : Path or None
        Its sub-folders are searched (the setting LRPSERVE_MODELS); those with an invalid card are
        skipped.

    Raises
    ------
    NotFound
        There is none.
    BundleError
        There are several; or there is none, but a folder of that name has an invalid card.
    """
    cards, problems = read_all(folder)
    found = [bundle for bundle in cards if bundle.card.name == name]
    if len(found) > 1:
        raise BundleError(
            f"two models have the name {name!r}, {found[0].folder} and {found[1].folder}: change "
            f"`name` in the {CARD_FILE} of one, or move its folder elsewhere"
        )
    if found:
        return found[0]
    if name in problems:
        raise problems[name]
    names = join_names(bundle.card.name for bundle in cards)
    raise NotFound(f"there is no model '{shorten(name)}' in LRPSERVE_MODELS; there are: {names}")


def read_all(folder: Path | None) -> tuple[list[FoundBundle], dict[str, BundleError]]:
    """Read the cards of all bundles in a folder.

    Returns
    -------
    bundles : list of FoundBundle
        Those whose card is valid.
    problems : dict of str to BundleError
        What is wrong with the others, by the name of their folder.
    """
    bundles, problems = [], {}
    for path in bundles_in(folder) if folder else []:
        try:
            bundles.append(FoundBundle(path, read_card(path)))
        except BundleError as error:
            problems[path.name] = error
    return bundles, problems
