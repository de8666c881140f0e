"""What the routes work with: the settings, the models' cards, the device queue, and workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from service.api.workers import Workers
from service.models.card import ModelCard
from service.runtime.queue import DeviceQueue
from service.settings import Settings


@dataclass(frozen=True)
class Services:
    """Made once by the application and passed to each router.

    Attributes
    ----------
    settings : Settings
        Of the application.
    cards : mapping of str to ModelCard
        Of the models that are served, by name.
    default : str
        Name of the model that is taken where none is named.
    queue : DeviceQueue
        Runs the jobs.
    workers : Workers
        Decode and render.
    """

    settings: Settings
    cards: Mapping[str, ModelCard]
    default: str
    queue: DeviceQueue
    workers: Workers = field(default_factory=Workers)

    def card(self, model: str | None = None) -> ModelCard:
        """The card of a model, of the default one where none is named."""
        return self.cards[self.default if model is None else model]
