"""Requests to load and unload models: who may send them, and what they have done."""

from __future__ import annotations

from dataclasses import dataclass

from service.errors import Forbidden
from service.settings import PREFIX, Settings


@dataclass(frozen=True)
class Change:
    """What a request to load or to unload has done.

    Attributes
    ----------
    sha256 : str or None
        Of the weights that are served now; None if it is unloaded.
    previous_sha256 : str or None
        Of those before; None if it was not loaded.
    is_changed : bool
        False if the bundle is the one that was loaded already.
    workers : int
        Worker processes that serve it so.
    """

    name: str
    sha256: str | None
    previous_sha256: str | None
    is_changed: bool
    workers: int


@dataclass(frozen=True)
class ModelStatus:
    """A model that is served, or that could be.

    Attributes
    ----------
    state : {"ready", "loading", "unavailable"}
        A model that is being replaced is ready.
    reason : str
        Why it is unavailable, or why it could not be replaced; empty where all is well.
    sha256 : str or None
        Of the weights that are served.
    """

    name: str
    state: str
    reason: str
    sha256: str | None


def check_allowed(settings: Settings) -> None:
    """Check that requests may load and unload models; those without a valid key never come here.

    Raises
    ------
    Forbidden
        The settings do not allow it.
    """
    control = settings.model_control
    if control == "open" or (control == "keys" and settings.api_keys):
        return
    needed = "=keys or =open" if control == "off" else f"=open, or {PREFIX}API_KEYS"
    raise Forbidden(
        "models cannot be loaded and unloaded by requests here; the operator can set "
        f"{PREFIX}MODEL_CONTROL{needed}"
    )
