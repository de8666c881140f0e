"""What the routes work with: the settings, the model's card, and the device queue."""

from __future__ import annotations

from dataclasses import dataclass

from service.models.card import ModelCard
from service.runtime.queue import DeviceQueue
from service.settings import Settings


@dataclass(frozen=True)
class Services:
    """Made once by the application and passed to each router."""

    settings: Settings
    card: ModelCard
    queue: DeviceQueue
