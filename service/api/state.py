"""The application's state: settings, model cards, device queue, cache and executor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from service.api.cache import Cache
from service.api.decoder import Decoder
from service.api.decoder_pool import DecoderPool
from service.api.executor import Executor
from service.api.models import Models
from service.api.rate_limit import RateLimit
from service.api.request.body_budget import BodyBudget
from service.api.statistics import Statistics
from service.errors import ModelNotFound, join_names
from service.metrics import Metrics
from service.models.card import ModelCard
from service.runtime.cores import usable_cores
from service.runtime.queue import DeviceQueue
from service.settings import Settings
from service.text import shorten
from service.worker_state import State, WorkerSlot

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

_MAX_PROCESSES = 4  # that decode images


@dataclass(frozen=True)
class AppState:
    """What the routes share; made once by the application.

    Attributes
    ----------
    models : Models
        The served models.
    slot : WorkerSlot
        This process among the worker processes.
    rate_limit : RateLimit or None
        The limit for each API key; None without one.
    tracer : Tracer or None
        Makes spans; None while traces are off.
    """

    settings: Settings
    models: Models
    queue: DeviceQueue
    metrics: Metrics = field(default_factory=Metrics)
    slot: WorkerSlot = field(default_factory=WorkerSlot)
    rate_limit: RateLimit | None = None
    cache: Cache = field(default_factory=Cache)
    executor: Executor = field(default_factory=Executor)
    body_budget: BodyBudget = field(default_factory=BodyBudget)
    statistics: Statistics = field(default_factory=Statistics)
    tracer: Tracer | None = None

    @cached_property
    def decoder(self) -> Decoder:
        """Decodes the images of requests."""
        settings = self.settings
        n_processes = max(1, min(_MAX_PROCESSES, usable_cores() // settings.workers))
        pool = DecoderPool(settings.max_pixels, settings.decode_pixels, n_processes)
        return Decoder(self.executor, pool, settings.max_pixels)

    @property
    def cards(self) -> Mapping[str, ModelCard]:
        """The cards of the served models, by name; another mapping when a model is replaced."""
        return self.models.cards

    @property
    def default(self) -> str:
        """Name of the model of requests that name none."""
        return self.models.default

    def card(self, model: str | None = None) -> ModelCard:
        """The card of a model; of the default model without a name."""
        return self.cards[self.default if model is None else model]

    def check_model(self, name: str) -> None:
        """Refuse the name of a model that is not served.

        Raises
        ------
        ModelNotFound
            Says which there are.
        """
        if name not in self.cards:
            names = join_names(self.cards)
            raise ModelNotFound(f"there is no model '{shorten(name)}'; there are: {names}")

    def health(self) -> State:
        """The state of this process: of its queue and its devices."""
        return self.queue.health(self.settings.stall_s)
