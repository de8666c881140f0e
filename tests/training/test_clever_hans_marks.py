"""Scores of marks: on a network that reads a corner and nothing else, what is pasted into it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from service.runtime.engine import Engine
from training.clever_hans import marks
from training.clever_hans.artefacts import ARTEFACTS
from training.clever_hans.marks import score_marks
from training.clever_hans.planting import Plant, to_pixels
from training.data import Split
from training.ground_truth.planted import planted_bundle
from training.ground_truth.scores import Sizes

SIZES = Sizes(controls=60, one_pass=25, sampled=2)


def paste(images: Tensor) -> Tensor:
    """Fill the corner that the network reads, 8x8 pixels."""
    pasted = images.clone()
    pasted[..., :8, :8] = torch.arange(64, dtype=torch.uint8).view(8, 8)
    return pasted


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(planted_bundle("corner", 0), torch.device("cpu"))


@pytest.fixture
def split() -> Split:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (80, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return Split(images, torch.arange(80) % 10)


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch, engine: Engine, split: Split) -> Plant:
    """What the network says of every image with the mark."""
    monkeypatch.setattr(marks, "ARTEFACTS", {**ARTEFACTS, "tag": paste})
    (prediction,) = engine.predict(list(to_pixels(paste(split.images[:1]))))
    return Plant("tag", int(prediction.logits.argmax()), 0.5)


def test_what_decides_has_the_relevance(engine: Engine, split: Split, plant: Plant) -> None:
    (found,) = score_marks(engine, split, [plant], SIZES).values()
    assert {len(values["mass"]) for values in found.values()} == {SIZES.one_pass, SIZES.sampled}
    assert min(found["epsilon_plus"]["mass"]) > 0.999  # the network reads nothing else
    assert max(found["baseline: random"]["mass"]) < 0.1


def test_images_that_the_mark_does_not_change_are_not_explained(
    engine: Engine, split: Split, plant: Plant
) -> None:
    few = Split(paste(split.images), split.labels)  # they are of the class already
    assert score_marks(engine, few, [plant], SIZES) == {}
    assert score_marks(engine, split, [Plant("jpeg", plant.label, 0.5)], SIZES) == {}
