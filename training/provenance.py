"""How a network was trained, for its card."""

from __future__ import annotations

import statistics
from dataclasses import asdict
from datetime import UTC, datetime

import torch

from service.models.card import Provenance
from service.models.measures import Epoch
from training.config import Recipe
from training.hardware import describe_hardware, library_versions
from training.progress import Record


def make_provenance(
    recipe: Recipe, seed: int, device: torch.device, history: list[Record], description: str
) -> Provenance:
    """Describe a run: recipe, data (in the words of `description`), seed, hardware, versions."""
    return Provenance(
        recipe=asdict(recipe),
        data=description,
        seed=seed,
        hardware=describe_hardware(device),
        versions=library_versions(),
        images_per_s=round(statistics.median(r["images_per_s"] for r in history), 1),
        trained_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def to_epoch(record: Record) -> Epoch:
    """Keep of a record what a card has of each epoch."""
    return Epoch.model_validate({name: record[name] for name in Epoch.model_fields})
