"""The recipes, as they are promised."""

from __future__ import annotations

import dataclasses

import pytest

from training.config import RECIPES, TUTORIAL, Recipe


def test_tutorial_is_adam_for_14_epochs_with_no_more_than_a_flip() -> None:
    assert TUTORIAL.optimizer == "adam"
    assert TUTORIAL.learning_rate == 4e-4
    assert TUTORIAL.epochs == 14
    assert TUTORIAL.flip
    assert TUTORIAL.schedule == "constant"
    assert TUTORIAL.feature_dropout
    unused = ("crop_border", "label_smoothing", "weight_decay", "average_decay")
    assert [getattr(TUTORIAL, name) for name in unused] == [0, 0, 0, 0]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_frozen_and_known_by_its_name(name: str) -> None:
    assert RECIPES[name].name == name
    with pytest.raises(dataclasses.FrozenInstanceError):
        RECIPES[name].epochs = 1  # type: ignore[misc]


def test_these_are_the_recipes() -> None:
    assert sorted(RECIPES) == ["brief", "fast", "further", "residual", "strong", "tutorial"]
    assert all(isinstance(recipe, Recipe) for recipe in RECIPES.values())
