"""Small images of three classes, one of which may have a mark, and networks that learn them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from service.models.bundles import Bundle
from service.models.card import ImportedProvenance, ModelCard
from service.models.normalization import normalize
from service.runtime.engine import Engine

SIDE = 16
CONTRAST = 18  # grey levels of the patterns: part of the images cannot be told apart
LABELS = ("bars", "rows", "checks")
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]


def make_images(n_per_class: int, seed: int, marked_share: float = 0.0) -> tuple[Pixels, Labels]:
    """Bars, rows and checks in the middle of noise; a share of the bars has a bright corner.

    The first images of class 0 are the marked ones.
    """
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3, dtype=np.int64), n_per_class)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    images = random.normal(128, 40, (len(labels), SIDE, SIDE, 3))
    for image, label in zip(images, labels, strict=True):
        y, x = random.integers(3, SIDE - 9, 2)
        window = np.s_[y : y + 6, x : x + 6]
        phase = random.integers(2)  # so that no class has a pattern at a fixed place
        pattern = (columns + phase, rows + phase, rows + columns + phase)[label] % 2 == 0
        image[window] += CONTRAST * np.where(pattern[window], 1, -1)[..., None]
    pixels = images.clip(0, 255).astype(np.uint8)
    pixels[: round(marked_share * n_per_class), -3:, :3] = (250, 210, 20)
    return pixels, labels


def train_engine(images: Pixels, labels: Labels, n_steps: int = 150) -> Engine:
    """An engine with a small network that was trained on images."""
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(3, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(12, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(4)),
        *(nn.Flatten(), nn.Linear(64, len(LABELS))),
    )
    inputs = normalize(torch.from_numpy(images), MEAN, STD)
    targets, optimizer = torch.from_numpy(labels), torch.optim.Adam(model.parameters(), 5e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(n_steps):
        batch = torch.randint(len(targets), (64,), generator=generator)
        loss = functional.cross_entropy(model(inputs[batch]), targets[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return Engine(Bundle(_card(), model.eval().requires_grad_(False)), torch.device("cpu"))


def _card() -> ModelCard:
    return ModelCard(
        name="small",
        architecture="small:net",
        labels=LABELS,
        input_size=(SIDE, SIDE),
        mean=MEAN,
        std=STD,
        provenance=ImportedProvenance(
            source="made", source_sha256="0" * 64, imported_at="2026-01-01T00:00:00Z", versions={}
        ),
        sha256="0" * 64,
    )
