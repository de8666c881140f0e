"""Patches and orders: each pixel in one patch, ties that favour nothing."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from service.evidence.orders import least_relevant_first, most_relevant_first, random_orders
from service.evidence.patches import PatchGrid

GRIDS = st.builds(
    PatchGrid, height=st.integers(1, 13), width=st.integers(1, 13), side=st.integers(1, 6)
)


def noise(grid: PatchGrid, n: int, seed: int = 0) -> Tensor:
    return torch.randn(n, grid.height, grid.width, generator=torch.Generator().manual_seed(seed))


@given(GRIDS)
def test_every_pixel_is_in_the_patch_of_its_place(grid: PatchGrid) -> None:
    columns = -(-grid.width // grid.side)
    for y in range(grid.height):
        for x in range(grid.width):
            assert grid.index[y, x] == y // grid.side * columns + x // grid.side
    assert grid.n_patches == int(grid.index.max()) + 1


@given(GRIDS)
def test_sums_are_those_of_a_loop_over_the_patches(grid: PatchGrid) -> None:
    maps = noise(grid, 2)
    wanted = [[one[grid.index == p].sum() for p in range(grid.n_patches)] for one in maps]
    torch.testing.assert_close(grid.sums(maps).float(), torch.tensor(wanted), rtol=0, atol=1e-5)


@given(GRIDS, st.data())
def test_the_first_patches_of_an_order_are_hidden_and_no_others(
    grid: PatchGrid, data: st.DataObject
) -> None:
    n_hidden = data.draw(st.integers(0, grid.n_patches))
    orders = random_orders(grid, 3, torch.Generator().manual_seed(n_hidden))
    hidden = grid.hidden(orders, n_hidden)
    for order, mask in zip(orders.tolist(), hidden, strict=True):
        wanted = torch.isin(grid.index, torch.tensor(order[:n_hidden], dtype=torch.int64))
        assert torch.equal(mask, wanted)


@given(GRIDS)
def test_relevance_falls_along_one_order_and_rises_along_the_other(grid: PatchGrid) -> None:
    maps = noise(grid, 3)
    means = grid.means(maps)
    falling = most_relevant_first(grid, maps)
    rising = least_relevant_first(grid, maps)
    assert bool((means.gather(1, falling).diff(dim=1) <= 0).all())
    assert torch.equal(rising, falling.flip(1))


@pytest.mark.parametrize("value", [0.0, 0.1, -3.7])
@pytest.mark.parametrize("grid", [PatchGrid(8, 8, 2), PatchGrid(7, 9, 4)])
def test_a_constant_map_has_a_random_order_and_no_gap_between_both(
    grid: PatchGrid, value: float
) -> None:
    maps = torch.full((400, grid.height, grid.width), value)
    first = most_relevant_first(grid, maps, seed=range(400))
    assert torch.equal(first, least_relevant_first(grid, maps, seed=range(400)))
    # the mean place of each patch is the middle: its standard error is below 0.3 of 400 orders
    places = first.argsort(1).float().mean(0)
    spread = grid.n_patches / 12**0.5 / 400**0.5
    assert bool(((places - (grid.n_patches - 1) / 2).abs() < 5 * spread).all())


def test_an_order_does_not_depend_on_the_other_maps() -> None:
    grid = PatchGrid(6, 6, 2)
    maps = noise(grid, 4).round()  # with ties
    together = most_relevant_first(grid, maps, seed=5)
    alone = torch.cat([most_relevant_first(grid, one[None], seed=5) for one in maps])
    assert torch.equal(together, alone)


def test_the_first_random_orders_do_not_depend_on_their_number() -> None:
    grid = PatchGrid(6, 6, 2)
    few = random_orders(grid, 2, torch.Generator().manual_seed(1))
    many = random_orders(grid, 7, torch.Generator().manual_seed(1))
    assert torch.equal(many[:2], few)
    assert len(many.unique(dim=0)) == 7
    assert bool((many.sort(1).values == torch.arange(grid.n_patches)).all())


def test_what_does_not_fit_is_refused() -> None:
    grid = PatchGrid(6, 6, 2)
    with pytest.raises(ValueError, match="do not fit"):
        grid.sums(torch.zeros(1, 6, 5))
    with pytest.raises(ValueError, match="cannot be hidden"):
        grid.hidden(torch.arange(9)[None], 10)
    with pytest.raises(ValueError, match="2 seeds"):
        most_relevant_first(grid, torch.zeros(3, 6, 6), seed=[1, 2])
    with pytest.raises(ValueError, match="at least 1"):
        PatchGrid(6, 6, 0)
