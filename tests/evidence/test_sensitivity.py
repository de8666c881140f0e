"""Sensitivity of explanations whose change under noise is known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from service.evidence.baselines import random_maps
from service.evidence.sensitivity import sensitivity
from tests.evidence.linear_model import LinearModel, bright_images

SHAPE = (3, 8, 6)
MODEL = LinearModel.of_shape(*SHAPE)
IMAGES = bright_images(6, *SHAPE)
TARGETS = torch.ones(6, dtype=torch.int64)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def perfect(images: Tensor, targets: Tensor) -> Tensor:
    return MODEL.explain(images)


def test_the_perfect_explanation_changes_with_the_noise() -> None:
    generator = seeded(3)
    noise = torch.stack([torch.rand(SHAPE, generator=generator) for _ in range(5)]) * 2 - 1
    found = sensitivity(perfect, IMAGES, TARGETS, seeded(3), n_samples=5, noise_level=0.1)
    reach = 0.1 * (IMAGES.amax((1, 2, 3)) - IMAGES.amin((1, 2, 3)))
    change = (noise * MODEL.weights).sum(1).flatten(1).norm(dim=1)
    expected = reach[:, None] * change / MODEL.explain(IMAGES).flatten(1).norm(dim=1)[:, None]
    torch.testing.assert_close(found.maximum, expected.amax(1), rtol=1e-3, atol=0)
    torch.testing.assert_close(found.average, expected.mean(1), rtol=1e-3, atol=0)


@pytest.mark.parametrize("value", [0.0, 0.4])
def test_a_constant_map_does_not_change(value: float) -> None:
    found = sensitivity(lambda x, _: torch.full_like(x[:, 0], value), IMAGES, TARGETS, seeded())
    assert found.maximum.tolist() == found.average.tolist() == [0] * 6


def test_a_random_map_changes_as_far_as_two_of_them_differ() -> None:
    found = sensitivity(lambda x, _: random_maps(x), IMAGES, TARGETS, seeded(), n_samples=50)
    # the root of the ratio of the mean squares: 1/6 and 1/3
    assert float(found.average.mean()) == pytest.approx(0.5**0.5, rel=0.1)
    assert bool((found.maximum > found.average).all())


def test_a_map_that_comes_from_nothing_has_no_bound() -> None:
    def only_noisy(images: Tensor, targets: Tensor) -> Tensor:
        return (images - IMAGES[:1]).sum(1)

    found = sensitivity(only_noisy, IMAGES[:1], TARGETS[:1], seeded())
    assert found.maximum.tolist() == [float("inf")]


@pytest.mark.parametrize("chunk", [1, 4, None])
def test_an_image_does_not_depend_on_its_neighbours_or_the_chunk(chunk: int | None) -> None:
    together = sensitivity(perfect, IMAGES, TARGETS, seeded(), chunk=chunk)
    alone = [
        sensitivity(perfect, IMAGES[i : i + 1], TARGETS[i : i + 1], seeded()) for i in range(6)
    ]
    torch.testing.assert_close(together.maximum, torch.cat([one.maximum for one in alone]))
    torch.testing.assert_close(together.average, torch.cat([one.average for one in alone]))
