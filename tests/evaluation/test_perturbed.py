"""Curves of a linear network: its relevance wins, its inverse loses, chance is in the middle."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from service.evaluation.perturbed import PerturbedSet, Setting

N, SIDE = 40, 8


class Linear:
    """Logit 0 is the weighted sum of the pixels, logit 1 is 0; counts its images."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(1)
        self.weight = torch.randn(3, SIDE, SIDE, generator=generator) / 4
        self.images = torch.randn(N, 3, SIDE, SIDE, generator=generator)
        self.n_predicted = 0

    def __call__(self, images: Tensor) -> Tensor:
        self.n_predicted += len(images)
        logit = (images * self.weight).sum((1, 2, 3))
        return torch.stack([logit, torch.zeros_like(logit)], dim=1)

    @property
    def relevance(self) -> Tensor:
        # what the logit loses when a pixel is replaced by the mean colour, which "mean" does
        means = self.images.mean((2, 3), keepdim=True)
        return ((self.images - means) * self.weight).sum(1)


@pytest.fixture
def linear() -> Linear:
    return Linear()


def perturbed(linear: Linear, setting: Setting) -> PerturbedSet:
    return PerturbedSet(linear, linear.images, torch.zeros(N, dtype=torch.int64), setting)


@pytest.mark.parametrize("side", [4, 8])  # one pixel, and two, of an input of 8
def test_weight_times_input_wins_and_its_inverse_loses(linear: Linear, side: int) -> None:
    shared = perturbed(linear, Setting(side, "mean"))
    assert shared.grid.side == side // 4
    gap = shared.curves(linear.relevance).gap
    inverse = shared.curves(-linear.relevance).gap
    chance = shared.curves(torch.rand(N, SIDE, SIDE)).gap

    assert (gap > 0).all()
    assert torch.allclose(gap, -inverse)
    assert gap.mean() > 5 * chance.mean().abs()
    assert chance.abs().mean() < gap.mean()
    for other in torch.rand(3, N, SIDE, SIDE):
        assert (shared.curves(other).gap <= gap + 1e-6).all()  # nothing is better than exact


def test_a_constant_map_has_no_gap(linear: Linear) -> None:
    curves = perturbed(linear, Setting(4, "blur")).curves(torch.ones(N, SIDE, SIDE))
    assert curves.gap.abs().max() == 0


def test_curves_begin_and_end_where_all_orders_do(linear: Linear) -> None:
    curves = perturbed(linear, Setting(4, "mean", (0.5,))).curves(linear.relevance)
    assert curves.shares == (0.0, 0.5, 1.0)
    whole = linear(linear.images).softmax(1)[:, 0]
    means = linear.images.mean((2, 3), keepdim=True).expand_as(linear.images)
    for curve in (curves.morf, curves.lerf):
        assert torch.allclose(curve[:, 0], whole)
        assert torch.allclose(curve[:, 2], linear(means).softmax(1)[:, 0], atol=1e-6)
    assert torch.allclose(curves.deletion, curves.morf @ torch.tensor([0.25, 0.5, 0.25]))


def test_orders_that_were_seen_are_not_computed_again(linear: Linear) -> None:
    shared = perturbed(linear, Setting(4, "mean", (0.25, 0.5)))
    first = shared.curves(linear.relevance)
    n_predicted = linear.n_predicted
    scaled, negative = shared.curves(3 * linear.relevance), shared.curves(-linear.relevance)
    assert linear.n_predicted == n_predicted
    assert torch.equal(scaled.morf, first.morf)
    assert torch.equal(negative.lerf, first.morf)
    changed = linear.relevance.clone()
    changed[0] = changed[0].flip(0)
    shared.curves(changed)
    assert linear.n_predicted == n_predicted + 4  # two shares of two orders of one image


def test_patches_grow_with_the_input() -> None:
    assert Setting(4, "blur").grid(32, 32).side == 4
    assert Setting(4, "blur").grid(224, 224).side == 28
    assert Setting(1, "blur").grid(16, 16).side == 1


def test_random_orders_differ_by_their_seed(linear: Linear) -> None:
    shared = perturbed(linear, Setting(4, "mean"))
    assert torch.equal(shared.random_curve(1), shared.random_curve(1))
    assert not torch.equal(shared.random_curve(1), shared.random_curve(2))
