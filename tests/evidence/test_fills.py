"""Fills: what is shown stays, what is hidden shows what the fill says, rows are independent."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from service.evidence.fills import FILLS, NOISE, constant_fill, gaussian_blur
from service.evidence.imputation import impute

SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(2, 9), st.integers(2, 9))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noisy(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed))


def some(*shape: int, share: float = 0.5, seed: int = 3) -> Tensor:
    return torch.rand(*shape, generator=seeded(seed)) < share


def imputed_densely(image: Tensor, hidden: Tensor) -> Tensor:
    """The equations of ROAD, one by one, in a dense matrix and double precision."""
    _, height, width = image.shape
    places = [tuple(place) for place in hidden.nonzero().tolist()]
    matrix = torch.zeros(len(places), len(places), dtype=torch.float64)
    right = torch.zeros(len(places), len(image), dtype=torch.float64)
    for row, (y, x) in enumerate(places):
        for dy, dx in [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0)]:
            weight = 1 / 6 if 0 in {dy, dx} else 1 / 12
            if not (0 <= y + dy < height and 0 <= x + dx < width):
                continue
            matrix[row, row] += weight
            if hidden[y + dy, x + dx]:
                matrix[row, places.index((y + dy, x + dx))] -= weight
            else:
                right[row] += weight * image[:, y + dy, x + dx].double()
    filled = image.double().clone()
    if places:
        filled[:, hidden] = torch.linalg.solve(matrix, right).T
    return filled


@given(SHAPES, st.sampled_from(sorted(FILLS)), st.floats(0, 1))
@settings(deadline=None)
def test_what_is_shown_stays_and_what_is_hidden_is_finite(
    shape: tuple[int, int, int, int], name: str, share: float
) -> None:
    images = noisy(*shape)
    hidden = some(shape[0], *shape[2:], share=share)
    filled = FILLS[name](images, hidden, seeded())
    shown = ~hidden[:, None].expand_as(images)
    assert torch.equal(filled[shown], images[shown])
    assert bool(filled.isfinite().all())


@pytest.mark.parametrize("name", FILLS)
def test_a_row_does_not_depend_on_the_others(name: str) -> None:
    images, hidden = noisy(5, 3, 7, 9), some(5, 7, 9)
    hidden[1] = True
    together = FILLS[name](images, hidden, seeded(4))
    rows = zip(images, hidden, strict=True)
    alone = [FILLS[name](image[None], mask[None], seeded(4)) for image, mask in rows]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-6)


def test_mean_shows_the_mean_colour_of_the_image() -> None:
    images, hidden = noisy(2, 3, 4, 6), some(2, 4, 6)
    filled = FILLS["mean"](images, hidden, seeded())
    for image, mask, found in zip(images, hidden, filled, strict=True):
        for channel in range(3):
            colors = found[channel][mask]
            assert torch.allclose(colors, image[channel].mean().expand_as(colors))


def test_blur_is_that_of_scipy_at_the_edges_too() -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    images = noisy(1, 2, 20, 31).double()
    wanted = ndimage.gaussian_filter(images[0].numpy(), (0, 1.7, 1.7), mode="nearest", radius=7)
    assert np.allclose(gaussian_blur(images, 1.7)[0].numpy(), wanted, atol=1e-6)


def test_blur_leaves_a_plain_image_as_it_is() -> None:
    images = torch.full((1, 1, 32, 32), 0.7)
    filled = FILLS["blur"](images, torch.ones(1, 32, 32, dtype=torch.bool), seeded())
    assert torch.allclose(filled, images, atol=1e-6)


@given(SHAPES, st.floats(0, 0.95), st.integers(0, 2**30))
@settings(deadline=None, max_examples=60)
def test_imputation_solves_the_equations_of_road(
    shape: tuple[int, int, int, int], share: float, seed: int
) -> None:
    images = noisy(*shape, seed=seed)
    hidden = some(shape[0], *shape[2:], share=share, seed=seed)
    hidden[:, 0, 0] = False  # something is shown
    found = impute(images, hidden)
    for image, mask, filled in zip(images, hidden, found, strict=True):
        wanted = imputed_densely(image, mask)
        torch.testing.assert_close(filled.double(), wanted, rtol=0, atol=1e-3)


def test_imputation_of_a_large_hole_is_exact_to_a_thousandth() -> None:
    images = noisy(1, 3, 32, 32)
    hidden = torch.ones(1, 32, 32, dtype=torch.bool)
    hidden[0, 0, :5] = False
    wanted = imputed_densely(images[0], hidden[0])
    torch.testing.assert_close(impute(images, hidden)[0].double(), wanted, rtol=0, atol=1e-3)


def test_imputation_of_many_images_is_that_of_each() -> None:
    images, hidden = noisy(150, 3, 32, 32), some(150, 32, 32)
    found = impute(images, hidden)
    for row in (0, 127, 128, 149):
        alone = impute(images[row : row + 1], hidden[row : row + 1])
        torch.testing.assert_close(found[row : row + 1], alone, rtol=0, atol=1e-6)


def test_imputation_does_not_look_at_what_is_hidden() -> None:
    images, hidden = noisy(2, 3, 12, 12), some(2, 12, 12, share=0.8)
    other = torch.where(hidden[:, None], noisy(2, 3, 12, 12, seed=9), images)
    assert torch.equal(impute(images, hidden), impute(other, hidden))


def test_an_image_hidden_wholly_is_imputed_by_its_mean_colour() -> None:
    images = noisy(2, 3, 9, 8) + 5
    found = impute(images, torch.ones(2, 9, 8, dtype=torch.bool))
    wanted = images.mean((2, 3), keepdim=True).expand_as(images)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=0)


def test_linear_adds_noise_of_the_seed_to_imputed_pixels() -> None:
    images, hidden = noisy(2, 3, 32, 32), some(2, 32, 32)
    first = FILLS["linear"](images, hidden, seeded(1))
    assert torch.equal(first, FILLS["linear"](images, hidden, seeded(1)))
    assert not torch.equal(first, FILLS["linear"](images, hidden, seeded(2)))
    added = (first - impute(images, hidden))[hidden[:, None].expand_as(images)]
    assert 0.9 * NOISE < float(added.std()) < 1.1 * NOISE


def test_constant_takes_a_value_or_one_for_each_channel() -> None:
    images, hidden = noisy(1, 2, 3, 3), torch.ones(1, 3, 3, dtype=torch.bool)
    assert bool((constant_fill(0.5)(images, hidden, seeded()) == 0.5).all())
    filled = constant_fill(torch.tensor([1.0, 2.0]))(images, hidden, seeded())
    assert filled.mean((0, 2, 3)).tolist() == [1, 2]
