"""What the routes work with: the settings, the models' cards, the device queue, and threads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from service.api.cache import Cache
from service.api.executor import Threads
from service.api.rate_limit import RateLimit
from service.metrics import Metrics
from service.models.card import ModelCard
from service.runtime.queue import DeviceQueue
from service.settings import Settings
from service.worker_state import State, WorkerSlot


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
    metrics : Metrics
        Where requests are counted.
    slot : WorkerSlot
        The place among the worker processes.
    rate_limit : RateLimit or None
        Of each key; None where there is none.
    cache : Cache
        Keeps answers.
    threads : Threads
        Decode and render.
    """

    settings: Settings
    cards: Mapping[str, ModelCard]
    default: str
    queue: DeviceQueue
    metrics: Metrics = field(default_factory=Metrics)
    slot: WorkerSlot = field(default_factory=WorkerSlot)
    rate_limit: RateLimit | None = None
    cache: Cache = field(default_factory=Cache)
    threads: Threads = field(default_factory=Threads)

    def card(self, model: str | None = None) -> ModelCard:
        """The card of a model, of the default one where none is named."""
        return self.cards[self.default if model is None else model]

    def health(self) -> State:
        """How this process is: its queue, and its devices."""
        return self.queue.health(self.settings.stall_s)
