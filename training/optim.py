"""Optimizers and learning rate schedules."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer

from training.config import Recipe
from training.hardware import autocast_dtype

ForEach = Callable[[Callable[[Tensor], None], list[Tensor]], Iterable[None]]


class Muon(Optimizer):
    """Momentum whose update is orthogonalized (Jordan et al. 2024, "Muon").

    Each weight of shape (out, ...) is taken as a matrix (out, in); its Nesterov momentum is
    brought to near-orthogonal by five steps of a Newton-Schulz iteration.

    Parameters
    ----------
    params : iterable of Tensor
        Weights with two or more dimensions.
    lr : float
        The size of a step; the update's spectral norm is about 1.
    weight_decay : float
        Decoupled: each step takes off `lr * weight_decay` of a weight.
    momentum : float
        Decay of the gradient's moving average.
    for_each : callable
        Applies a function to weights, the largest first; in several threads if it likes.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float,
        weight_decay: float,
        momentum: float = 0.9,
        for_each: ForEach = map,
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        self._for_each = for_each

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update each weight that has a gradient; `closure` is not supported."""
        if closure is not None:
            raise ValueError("Muon does not support a closure")
        for group in self.param_groups:
            update = partial(self._update, group)
            list(self._for_each(update, sorted(group["params"], key=Tensor.numel, reverse=True)))

    @torch.no_grad()  # of each thread
    def _update(self, group: dict[str, Any], weight: Tensor) -> None:
        state, gradient = self.state[weight], weight.grad
        if gradient is None:
            return
        if not state:
            state["average"] = torch.zeros_like(weight)
        average = state["average"].lerp_(gradient, 1 - group["momentum"])
        direction = gradient.lerp(average, group["momentum"]).reshape(len(weight), -1)
        rows, columns = direction.shape
        scale = max(1.0, rows / columns) ** 0.5
        update = orthogonalize(direction).reshape(weight.shape)
        weight.mul_(1 - group["lr"] * group["weight_decay"])
        weight.add_(update, alpha=-group["lr"] * scale)


def orthogonalize(matrix: Tensor, steps: int = 5) -> Tensor:
    """Bring all singular values of a matrix to about 1 (0.7 to 1.2).

    A quintic Newton-Schulz iteration with the coefficients of Jordan et al. 2024. Each of its
    factors is a polynomial in the square matrix `x @ x.T`, so all but one product are of square
    matrices, which for a wide matrix are far smaller than itself. They are in float32, as rounding
    errors would grow with each step; the product with the matrix itself is in bfloat16 if the
    device supports it.
    """
    is_tall = matrix.size(0) > matrix.size(1)
    x = matrix.T if is_tall else matrix
    x = x / (x.norm() + 1e-7)
    factor = _polar_factor(x @ x.T, steps)
    dtype = autocast_dtype(matrix.device)
    result: Tensor = (factor.to(dtype) @ x.to(dtype)).to(matrix.dtype)
    return result.T if is_tall else result


def _polar_factor(gram: Tensor, steps: int) -> Tensor:
    """Product of the iteration's factors; all of them commute with the Gram matrix."""
    product = identity = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    for _ in range(steps):
        factor = 3.4445 * identity - 4.7750 * gram + 2.0315 * gram @ gram
        product = factor @ product
        gram = factor @ gram @ factor
    return product


def make_optimizers(model: nn.Module, recipe: Recipe, for_each: ForEach = map) -> list[Optimizer]:
    """Make the optimizers of a recipe; each parameter belongs to exactly one.

    `for_each` is as of `Muon`, whose updates take the most time.
    """
    betas = (0.9, recipe.second_moment_decay)
    if recipe.optimizer == "adam":
        return [Adam(model.parameters(), recipe.learning_rate, betas=betas)]
    weights = [p for p in model.parameters() if p.ndim > 1]
    # as Muon's authors advise, the first and the last layer stay with AdamW
    inner, outer = weights[1:-1], [weights[0], weights[-1]]
    biases = [p for p in model.parameters() if p.ndim < 2]
    groups = [
        {"params": outer, "weight_decay": recipe.weight_decay},
        {"params": biases, "weight_decay": 0.0},
    ]
    muon = Muon(inner, recipe.muon_learning_rate, recipe.weight_decay, for_each=for_each)
    return [muon, AdamW(groups, recipe.learning_rate, betas=betas)]


def rate_factor(recipe: Recipe, progress: float) -> float:
    """Learning rate at a point of the run, as a share of the highest.

    Parameters
    ----------
    recipe : Recipe
        Its `schedule` and `warmup`.
    progress : float
        Steps done over all steps, 0 to 1.
    """
    if recipe.schedule == "constant":
        return 1.0
    if progress < recipe.warmup:
        return progress / recipe.warmup
    return (1 - progress) / (1 - recipe.warmup)
