"""Curves on a linear model: the perfect explanation's is known, and no other one is better."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from service.evidence.curves import (
    area,
    insertion_curve,
    is_predicted,
    logit,
    logit_difference,
    perturbation_curve,
)
from service.evidence.fills import FILLS, constant_fill
from service.evidence.orders import least_relevant_first, most_relevant_first, random_orders
from service.evidence.patches import PatchGrid
from tests.evidence.linear_model import LinearModel, bright_images

SHAPE = (3, 8, 6)
MODEL = LinearModel.of_shape(*SHAPE)
IMAGES = bright_images(5, *SHAPE)
TARGETS = torch.ones(5, dtype=torch.int64)
GRID = PatchGrid(8, 6, 2)
COUNTS = range(GRID.n_patches + 1)
SHARES = [count / GRID.n_patches for count in COUNTS]
BLACK = constant_fill(0.0)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def deletion_area(order: Tensor) -> Tensor:
    curve = perturbation_curve(MODEL, IMAGES, TARGETS, GRID, order, BLACK, COUNTS, seeded())
    return area(curve, SHARES)


@given(st.integers(1, 5), st.sampled_from(["perfect", "random", "inverse"]))
@settings(deadline=None)
def test_the_logit_falls_by_the_relevance_that_is_hidden(side: int, kind: str) -> None:
    grid, relevance = PatchGrid(8, 6, side), MODEL.explain(IMAGES)
    order = {
        "perfect": most_relevant_first(grid, relevance),
        "random": random_orders(grid, 5, seeded()),
        "inverse": least_relevant_first(grid, relevance),
    }[kind]
    counts = range(grid.n_patches + 1)
    curve = perturbation_curve(
        MODEL, IMAGES, TARGETS, grid, order, BLACK, counts, seeded(), score=logit
    )
    falls = grid.sums(relevance).gather(1, order).cumsum(1)
    whole = logit(MODEL(IMAGES), TARGETS)[:, None]
    torch.testing.assert_close(curve, torch.cat([whole, whole - falls.float()], 1))


def test_probability_is_that_of_the_target() -> None:
    order = most_relevant_first(GRID, MODEL.explain(IMAGES))
    of_one = perturbation_curve(MODEL, IMAGES, TARGETS, GRID, order, BLACK, [0, 5], seeded())
    of_zero = perturbation_curve(MODEL, IMAGES, TARGETS * 0, GRID, order, BLACK, [0, 5], seeded())
    torch.testing.assert_close(of_one, 1 - of_zero)
    torch.testing.assert_close(of_one[:, 0], MODEL(IMAGES)[:, 1].sigmoid())


def test_no_order_of_the_patches_has_a_smaller_area_than_the_perfect_one() -> None:
    grid = PatchGrid(2, 2, 1)
    model, image = LinearModel.of_shape(1, 2, 2), bright_images(1, 1, 2, 2)
    orders = torch.tensor(list(permutations(range(4))))
    curves = perturbation_curve(
        model, image.expand(24, -1, -1, -1), torch.ones(24, dtype=torch.int64), grid, orders,
        BLACK, range(5), seeded(),
    )  # fmt: skip
    areas = area(curves, [0, 0.25, 0.5, 0.75, 1])
    best = orders[areas.argmin()]
    assert best.tolist() == most_relevant_first(grid, model.explain(image))[0].tolist()


def test_areas_rank_perfect_random_and_inverse() -> None:
    relevance = MODEL.explain(IMAGES)
    perfect = deletion_area(most_relevant_first(GRID, relevance))
    chance = deletion_area(random_orders(GRID, 5, seeded()))
    inverse = deletion_area(most_relevant_first(GRID, -relevance))
    assert bool((perfect < chance).all())
    assert bool((chance < inverse).all())
    torch.testing.assert_close(inverse, deletion_area(least_relevant_first(GRID, relevance)))


def test_a_constant_map_has_no_gap_between_both_orders() -> None:
    flat = torch.ones(5, 8, 6)
    first, last = most_relevant_first(GRID, flat), least_relevant_first(GRID, flat)
    assert torch.equal(deletion_area(first), deletion_area(last))


def test_insertion_is_deletion_from_the_other_end() -> None:
    order = most_relevant_first(GRID, MODEL.explain(IMAGES))
    inserted = insertion_curve(MODEL, IMAGES, TARGETS, GRID, order, BLACK, COUNTS, seeded())
    reverse = perturbation_curve(
        MODEL, IMAGES, TARGETS, GRID, order.flip(1), BLACK, COUNTS, seeded()
    )
    torch.testing.assert_close(inserted, reverse.flip(1))
    chance = insertion_curve(
        MODEL, IMAGES, TARGETS, GRID, random_orders(GRID, 5, seeded()), BLACK, COUNTS, seeded()
    )
    assert bool((area(inserted, SHARES) > area(chance, SHARES)).all())
    assert bool((inserted.diff(dim=1) >= 0).all())


@pytest.mark.parametrize("name", FILLS)
@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_an_image_does_not_depend_on_its_neighbours_or_the_chunk(name: str, chunk: int) -> None:
    order = random_orders(GRID, 5, seeded(2))
    counts = [0, 3, 7, 12]

    def curve(rows: slice, chunk: int) -> Tensor:
        return perturbation_curve(
            MODEL, IMAGES[rows], TARGETS[rows], GRID, order[rows], FILLS[name], counts, seeded(8),
            chunk=chunk,
        )  # fmt: skip

    together = curve(slice(None), chunk)
    alone = torch.cat([curve(slice(index, index + 1), 2) for index in range(5)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


def test_predict_gets_no_more_images_than_the_chunk() -> None:
    sizes: list[int] = []

    def predict(images: Tensor) -> Tensor:
        sizes.append(len(images))
        return MODEL(images)

    order = random_orders(GRID, 5, seeded())
    perturbation_curve(predict, IMAGES, TARGETS, GRID, order, BLACK, COUNTS, seeded(), chunk=16)
    assert sizes == [16, 16, 16, 16, 1]


def test_a_target_is_predicted_or_not() -> None:
    logits = torch.tensor([[1.0, 2.0], [3.0, 0.0]])
    assert is_predicted(logits, torch.tensor([1, 1])).tolist() == [1, 0]
    pairs = torch.tensor([[1, 0], [1, 0]])
    assert logit_difference(logits, pairs).tolist() == [1, -3]


def test_no_images_have_no_curves() -> None:
    nothing = perturbation_curve(
        MODEL, IMAGES[:0], TARGETS[:0], GRID, random_orders(GRID, 0, seeded()), BLACK, COUNTS,
        seeded(),
    )  # fmt: skip
    assert nothing.shape == (0, GRID.n_patches + 1)


@given(st.floats(-2, 2), st.floats(-2, 2), st.integers(2, 9))
def test_the_area_of_a_line_is_its_middle(first: float, last: float, n: int) -> None:
    curve = torch.linspace(first, last, n).double()[None]
    shares = torch.linspace(0, 0.5, n).tolist()
    assert float(area(curve, shares)) == pytest.approx((first + last) / 2, abs=1e-5)


def test_the_area_weighs_steps_by_their_width() -> None:
    assert area(torch.tensor([[1.0, 1.0, 0.0]]), [0, 0.5, 1]).tolist() == [0.75]
    assert area(torch.tensor([[1.0, 1.0, 0.0]]), [0, 0.9, 1]).tolist() == pytest.approx([0.95])


def test_what_has_no_area_or_curve_is_refused() -> None:
    with pytest.raises(ValueError, match="two or more that rise"):
        area(torch.ones(1, 1), [0])
    with pytest.raises(ValueError, match="two or more that rise"):
        area(torch.ones(1, 3), [0, 1, 1])
    with pytest.raises(ValueError, match="from 0 to 12"):
        perturbation_curve(
            MODEL, IMAGES, TARGETS, GRID, random_orders(GRID, 5, seeded()), BLACK, [13], seeded()
        )
