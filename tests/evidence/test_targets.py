"""Class sensitivity: targets of either sign of the logit, and contrasts."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from service.evidence.baselines import edge_maps
from service.evidence.fills import constant_fill
from service.evidence.patches import PatchGrid
from service.evidence.targets import class_sensitivity, random_others, score_falls
from tests.evidence.linear_model import bright_images

SHAPE = (2, 8, 6)
N_CLASSES = 4
WEIGHTS = torch.randn(N_CLASSES, *SHAPE, generator=torch.Generator().manual_seed(0))
WEIGHTS -= WEIGHTS.mean(0)  # the logits of an image are of either sign
IMAGES = bright_images(40, *SHAPE)
GRID = PatchGrid(8, 6, 2)


def predict(images: Tensor) -> Tensor:
    return torch.einsum("nchw,kchw->nk", images, WEIGHTS)


def perfect(images: Tensor, targets: Tensor) -> Tensor:
    return (images * WEIGHTS[targets]).sum(1)


def falls(targets: Tensor, relevance: Tensor) -> tuple[Tensor, Tensor]:
    return score_falls(
        predict, IMAGES, targets, relevance, GRID, constant_fill(0.0), torch.Generator(), n_hidden=3
    )


def targets_of_either_sign() -> tuple[Tensor, Tensor]:
    order = predict(IMAGES).argsort(1)
    targets = torch.where(torch.arange(40) % 2 == 0, order[:, 0], order[:, -1])
    return targets, predict(IMAGES).gather(1, targets[:, None])[:, 0]


def test_another_class_is_drawn_for_each_image() -> None:
    images, targets = bright_images(600, 1, 2, 2), torch.arange(600) % N_CLASSES
    others = random_others(images, targets, N_CLASSES)
    assert bool((others != targets).all())
    steps = ((others - targets) % N_CLASSES).bincount(minlength=N_CLASSES).tolist()
    assert steps[0] == 0
    assert min(steps[1:]) > 150  # 200 are expected, with a standard deviation of 12
    alone = [random_others(images[i : i + 1], targets[i : i + 1], N_CLASSES) for i in range(9)]
    assert torch.equal(others[:9], torch.cat(alone))
    assert not torch.equal(others, random_others(images, targets, N_CLASSES, seed=1))
    with pytest.raises(ValueError, match="no other"):
        random_others(images, targets, 1)


def test_a_map_that_ignores_the_target_is_found_out() -> None:
    targets = torch.zeros(40, dtype=torch.int64)
    blind = class_sensitivity(lambda x, _: edge_maps(x), IMAGES, targets, targets + 1)
    assert blind.rank.tolist() == blind.structural.tolist() == [1] * 40
    sees = class_sensitivity(perfect, IMAGES, targets, targets + 1)
    assert float(sees.rank.mean()) < 0.3
    assert float(sees.structural.mean()) < 0.5


def test_without_its_red_the_logit_falls_whatever_its_sign() -> None:
    targets, logits = targets_of_either_sign()
    assert bool((logits[::2] < 0).all())
    assert bool((logits[1::2] > 0).all())
    relevance = perfect(IMAGES, targets)
    most, least = falls(targets, relevance)
    sums = GRID.sums(relevance).sort(dim=1).values.float()
    torch.testing.assert_close(most, sums[:, -3:].sum(1), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(least, sums[:, :3].sum(1), rtol=1e-4, atol=1e-4)


def test_red_that_speaks_against_negative_logits_is_found_out() -> None:
    targets, logits = targets_of_either_sign()
    wrong = perfect(IMAGES, targets) * logits.sign()[:, None, None]
    most, least = falls(targets, wrong)
    assert bool((most > least)[logits > 0].all())
    assert bool((most < least)[logits < 0].all())


def test_the_inverse_and_a_constant_have_no_red_that_speaks_for_the_target() -> None:
    targets, _ = targets_of_either_sign()
    most, least = falls(targets, -perfect(IMAGES, targets))
    assert bool((most < least).all())
    most, least = falls(targets, torch.ones(40, 8, 6))
    assert torch.equal(most, least)


def test_a_contrast_falls_by_the_difference_of_both_classes() -> None:
    pairs = predict(IMAGES).argsort(1)[:, :2]  # the less likely one first: a negative difference
    relevance = perfect(IMAGES, pairs[:, 0]) - perfect(IMAGES, pairs[:, 1])
    most, least = falls(pairs, relevance)
    sums = GRID.sums(relevance).sort(dim=1).values.float()
    torch.testing.assert_close(most, sums[:, -3:].sum(1), rtol=1e-4, atol=1e-4)
    assert bool((most > least).all())
