"""Augmentations only move pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from training.augment import augment, choose_half
from training.config import TUTORIAL, Recipe

NOTHING = replace(TUTORIAL, flip=False, crop_border=0)
FLIP = replace(TUTORIAL, flip=True, crop_border=0)
CROP = replace(TUTORIAL, flip=False, crop_border=2)


@pytest.fixture
def images() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (64, 3, 6, 8), generator=generator, dtype=torch.uint8)


def augmented(images: Tensor, recipe: Recipe, seed: int = 0) -> Tensor:
    return augment(images, recipe, torch.Generator().manual_seed(seed))


def test_without_augmentation_images_stay_as_they_are(images: Tensor) -> None:
    assert torch.equal(augmented(images, NOTHING), images)


def test_a_flip_mirrors_about_half_of_the_images(images: Tensor) -> None:
    result = augmented(images, FLIP)
    is_same = (result == images).all((1, 2, 3))
    is_mirrored = (result == images.flip(3)).all((1, 2, 3))
    assert (is_same | is_mirrored).all()
    assert 16 < int(is_mirrored.sum()) < 48


def test_images_that_are_named_are_mirrored(images: Tensor) -> None:
    mirrored = torch.arange(len(images)) % 3 == 0
    result = augment(images, FLIP, torch.Generator(), mirrored)
    assert torch.equal(result[mirrored], images[mirrored].flip(3))
    assert torch.equal(result[~mirrored], images[~mirrored])


def test_about_half_of_the_images_are_chosen_by_the_seed() -> None:
    chosen = choose_half(1000, 1)
    assert 400 < int(chosen.sum()) < 600
    assert torch.equal(chosen, choose_half(1000, 1))
    assert not torch.equal(chosen, choose_half(1000, 2))


def test_a_crop_is_a_window_of_the_reflected_image(images: Tensor) -> None:
    result = augmented(images, CROP).numpy()
    places = set()
    for before, after in zip(images.numpy(), result, strict=True):
        padded = np.pad(before, ((0, 0), (2, 2), (2, 2)), mode="reflect")
        windows = {
            (top, left): padded[:, top : top + 6, left : left + 8]
            for top in range(5)
            for left in range(5)
        }
        found = [place for place, window in windows.items() if (window == after).all()]
        assert found
        places.add(found[0])
    assert len(places) > 15


def test_a_crop_can_be_mirrored_too(images: Tensor) -> None:
    cropped = augmented(images, CROP)
    both = augmented(images, replace(CROP, flip=True))
    is_same = (both == cropped).all((1, 2, 3))
    is_mirrored = (both == cropped.flip(3)).all((1, 2, 3))
    assert (is_same | is_mirrored).all()
    assert 16 < int(is_mirrored.sum()) < 48


@pytest.mark.parametrize("recipe", [FLIP, CROP], ids=["flip", "crop"])
def test_the_generator_decides(images: Tensor, recipe: Recipe) -> None:
    assert torch.equal(augmented(images, recipe, 1), augmented(images, recipe, 1))
    assert not torch.equal(augmented(images, recipe, 1), augmented(images, recipe, 2))
    assert augmented(images, recipe).dtype == torch.uint8
    assert augmented(images, recipe).shape == images.shape
