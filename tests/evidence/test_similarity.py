"""Similarity of maps: SciPy's and scikit-image's numbers, and maps for which they are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from service.evidence.similarity import compare, pearson, spearman, structural_similarity


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@given(st.integers(0, 2**20), st.booleans(), st.integers(3, 12), st.integers(1, 4))
@settings(deadline=None, max_examples=30)
def test_correlations_are_those_of_scipy(
    seed: int, has_ties: bool, width: int, height: int
) -> None:
    stats = pytest.importorskip("scipy.stats")
    left, right = noise(2, 4, height, width, seed=seed)
    if has_ties:
        left, right = left.round(), right.round()
        left[:, 0, 0], left[:, 0, 1], right[:, 0, 1], right[:, 0, 2] = 5, -5, 5, -5
    for one, other, linear, rank in zip(
        left, right, pearson(left, right), spearman(left, right), strict=True
    ):
        a, b = one.flatten().double().numpy(), other.flatten().double().numpy()
        assert float(linear) == pytest.approx(stats.pearsonr(a, b)[0], abs=1e-9)
        assert float(rank) == pytest.approx(stats.spearmanr(a, b)[0], abs=1e-9)


@pytest.mark.parametrize("shape", [(7, 7), (9, 14), (32, 32), (4, 30), (3, 3)])
def test_structural_similarity_is_that_of_scikit_image(shape: tuple[int, int]) -> None:
    metrics = pytest.importorskip("skimage.metrics")
    left = noise(3, *shape)
    right = left + 0.5 * noise(3, *shape, seed=1)
    side = min(7, min(shape) - (min(shape) + 1) % 2)
    found = structural_similarity(left, right, torch.tensor([1.0, 2.0, 5.0]))
    for one, other, full, value in zip(left, right, [1.0, 2.0, 5.0], found, strict=True):
        wanted = metrics.structural_similarity(
            one.double().numpy(), other.double().numpy(), win_size=side, data_range=full
        )
        assert float(value) == pytest.approx(wanted, abs=1e-9)


def test_equal_maps_are_as_similar_as_can_be() -> None:
    maps = torch.cat([noise(2, 8, 9), torch.full((1, 8, 9), 0.3), torch.zeros(1, 8, 9)])
    found = compare(maps, maps.clone())
    for values in (found.rank, found.absolute_rank, found.structural):
        assert values.tolist() == pytest.approx([1] * 4)


def test_the_inverse_is_as_dissimilar_as_can_be_but_for_its_absolute_values() -> None:
    maps = noise(2, 8, 9)
    found = compare(maps, -maps)
    assert found.rank.tolist() == pytest.approx([-1] * 2)
    assert found.absolute_rank.tolist() == pytest.approx([1] * 2)
    assert bool((found.structural < 0).all())


def test_scale_does_not_count_but_order_does() -> None:
    maps = noise(2, 8, 9)
    found = compare(maps, 5 * maps)
    assert found.structural.tolist() == pytest.approx([1] * 2)
    assert spearman(maps, maps**3).tolist() == pytest.approx([1] * 2)
    assert bool((pearson(maps, maps**3) < 0.99).all())


def test_noise_is_similar_to_nothing() -> None:
    found = compare(noise(400, 16, 16), noise(400, 16, 16, seed=1))
    for values in (found.rank, found.absolute_rank):
        assert abs(float(values.mean())) < 5 / (400 * 256) ** 0.5
    assert abs(float(found.structural.mean())) < 0.2


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 / 3])
def test_a_constant_map_correlates_with_nothing(value: float) -> None:
    flat = torch.full((2, 8, 9), value)
    assert pearson(flat, noise(2, 8, 9)).tolist() == [0, 0]
    assert spearman(noise(2, 8, 9), flat).tolist() == [0, 0]
    assert np.isfinite(compare(flat, noise(2, 8, 9)).structural.numpy()).all()


def test_a_map_that_is_constant_but_for_rounding_correlates_with_nothing() -> None:
    flat = torch.full((2, 8, 9), 0.1)
    flat[:, ::2] = torch.nextafter(flat[:, ::2], torch.tensor(1.0))
    assert flat.unique().numel() == 2
    assert pearson(flat, noise(2, 8, 9)).tolist() == [0, 0]
    assert bool((pearson(flat - 0.1, noise(2, 8, 9)) != 0).all())
