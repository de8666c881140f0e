"""Lookup of bundles: those shipped with the service, and those of the user. Needs no torch."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from service.errors import BundleError, join_names
from service.models.card import CARD_FILE, check_name, read_card

SHIPPED = Path(__file__).parent.parent / "bundles"


def shipped_models() -> dict[str, Path]:
    """Names and folders of the shipped bundles."""
    return find_models(None)


def find_models(folder: Path | None) -> dict[str, Path]:
    """Find the shipped bundles, and those in a folder of the user.

    Parameters
    ----------
    folder : Path or None
        Its sub-folders with a `model.json` are bundles (the setting LRPSERVE_MODELS).

    Returns
    -------
    dict of str to Path
        Folders of the bundles by the names in their cards; shipped ones come first.

    Raises
    ------
    BundleError
        The folder is missing, a card is invalid, or two bundles have the same name.
    """
    found: dict[str, Path] = {}
    for path in [*bundles_in(SHIPPED), *(bundles_in(folder) if folder else [])]:
        name = read_card(path).name
        if name in found:
            raise BundleError(
                f"two models have the name {name!r}, {found[name]} and {path}: change `name` in "
                f"the {CARD_FILE} of one, or move its folder elsewhere"
            )
        found[name] = path
    return found


def bundles_in(folder: Path) -> list[Path]:
    """Sub-folders with a `model.json`, sorted, without hidden ones.

    Raises
    ------
    BundleError
        The folder is missing or cannot be read.
    """
    try:
        inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        return [path for path in inside if (path / CARD_FILE).is_file()]
    except OSError as error:
        raise BundleError(
            f"the folder of models {folder} cannot be read ({error.strerror}): LRPSERVE_MODELS "
            "has to be a folder whose sub-folders are bundles; `lrpserve import` makes them"
        ) from error


def find_bundle(model: str, folder: Path | None = None) -> Path:
    """The folder of a bundle, given its name or its path.

    Parameters
    ----------
    model : str
        A name in `find_models`, or a path.
    folder : Path or None
        As in `find_models`.

    Raises
    ------
    BundleError
        It is neither.
    """
    models = find_models(folder)
    if model in models:
        return models[model]
    with suppress(OSError):  # longer than a name of a file can be
        if model and Path(model).is_dir():  # an empty path would be the present folder
            return Path(model)
    raise BundleError(
        f"there is no model {model!r}: it is neither a folder nor one of the models "
        f"({join_names(models)})"
    )


def served_models(
    model: str, folder: Path | None = None, name: str | None = None
) -> tuple[dict[str, Path], str]:
    """The models to serve: the default model, and those in a folder of the user.

    Parameters
    ----------
    model : str
        The default: a name in `find_models`, or a path.
    folder : Path or None
        As in `find_models`.
    name : str, optional
        Name under which the default is served (the setting LRPSERVE_MODEL_NAME); else its card's.

    Returns
    -------
    models : dict of str to Path
        Folders of the bundles by name, in the card or as given; the default comes first.
    default : str
        Its name.

    Raises
    ------
    BundleError
        A bundle is missing or invalid, a name is invalid, or two bundles have the same name.
    """
    if name is not None:
        check_name(name)
    chosen = find_bundle(model, folder)
    default = name or read_card(chosen).name
    others = {
        read_card(path).name: path
        for path in (bundles_in(folder) if folder else [])
        if path.resolve() != chosen.resolve()
    }
    if default in others:
        raise BundleError(
            f"two models have the name {default!r}, {chosen} and {others[default]}: change `name` "
            f"in the {CARD_FILE} of one, or move its folder elsewhere"
        )
    return {default: chosen, **others}, default
