"""Optimizers and the schedule, against their definitions."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from service.models.architectures import MiniVGG
from training.config import RECIPES, STRONG, TUTORIAL, Recipe
from training.optim import Muon, make_optimizers, orthogonalize, rate_factor


@settings(max_examples=30)
@given(rows=st.integers(2, 40), columns=st.integers(2, 40), seed=st.integers(0, 1000))
def test_orthogonalized_matrices_have_singular_values_near_one(
    rows: int, columns: int, seed: int
) -> None:
    # orthonormal factors and singular values of one order: what the iteration is made for
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(rows, columns, generator=generator)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    rank = min(rows, columns)
    values = torch.linspace(0.3, 1.0, rank)
    found = torch.linalg.svdvals(orthogonalize((left * values) @ right))
    assert found.min() > 0.6
    assert found.max() < 1.35


def test_orthogonalizing_keeps_the_singular_vectors() -> None:
    matrix = torch.diag(torch.tensor([3.0, 2.0, 1.0]))
    result = orthogonalize(matrix)
    off_diagonal = result - torch.diag(result.diagonal())
    assert off_diagonal.abs().max() < 1e-3
    assert (result.diagonal() > 0.6).all()


@pytest.mark.parametrize(("dtype", "is_exact"), [(torch.float32, True), (torch.bfloat16, False)])
def test_it_is_computed_in_what_the_device_computes_in(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, is_exact: bool
) -> None:
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(8, 8, generator=generator)
    monkeypatch.setattr("training.optim.autocast_dtype", lambda _: torch.float64)
    expected = orthogonalize(matrix)
    monkeypatch.setattr("training.optim.autocast_dtype", lambda _: dtype)
    found = orthogonalize(matrix)
    assert found.dtype == torch.float32
    assert (float((found - expected).abs().max()) < 1e-4) is is_exact


def test_muon_steps_against_the_gradient_and_decays_the_weight() -> None:
    weight = torch.eye(4).requires_grad_()
    optimizer = Muon([weight], lr=0.1, weight_decay=0.5)
    weight.grad = torch.eye(4)
    optimizer.step()
    moved = weight.detach().diagonal()
    # 1 - 0.1 * 0.5 is left by the decay; the update takes off 0.1 times about 1
    assert ((moved > 0.95 - 0.13) & (moved < 0.95 - 0.06)).all()


def test_muon_takes_no_closure() -> None:
    weight = torch.eye(2).requires_grad_()
    with pytest.raises(ValueError, match="closure"):
        Muon([weight], lr=0.1, weight_decay=0).step(lambda: 0.0)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_every_parameter_belongs_to_exactly_one_optimizer(recipe: Recipe) -> None:
    model = MiniVGG()
    optimizers = make_optimizers(model, recipe)
    owned = [id(p) for o in optimizers for group in o.param_groups for p in group["params"]]
    assert sorted(owned) == sorted(id(parameter) for parameter in model.parameters())


def test_biases_do_not_decay() -> None:
    *_, adamw = make_optimizers(MiniVGG(), STRONG)
    for group in adamw.param_groups:
        is_bias = all(parameter.ndim == 1 for parameter in group["params"])
        assert (group["weight_decay"] == 0) == is_bias


@pytest.mark.parametrize(
    ("progress", "factor"), [(0.0, 0.0), (0.05, 0.5), (0.1, 1.0), (0.55, 0.5), (1.0, 0.0)]
)
def test_one_cycle_rises_and_falls_linearly(progress: float, factor: float) -> None:
    recipe = replace(STRONG, schedule="one_cycle", warmup=0.1)
    assert rate_factor(recipe, progress) == pytest.approx(factor)


def test_a_constant_rate_stays() -> None:
    assert [rate_factor(TUTORIAL, progress) for progress in (0.0, 0.5, 1.0)] == [1, 1, 1]
