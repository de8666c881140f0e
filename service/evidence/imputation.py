"""Linear imputation: hidden pixels as the weighted mean of their neighbours.

Rong et al. 2022, arXiv:2202.00449, section 4: an equation for each hidden pixel says that it is the
mean of its eight neighbours, direct ones (weight 1/6) and diagonal ones (1/12); at the edge of the
image, of those that there are. The system is symmetric and, if any pixel of the image is shown,
positive definite: all images of a batch are solved at once by conjugate gradients.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

TOLERANCE = 1e-5  # of the residual's norm, in shares of the first one
_ROUNDING = 1e-6  # a residual below this share of the guess is the guess's rounding
_STEPS_BETWEEN_LOOKS = 8  # whether all are solved: on a GPU, a look waits for the device


def impute(images: Tensor, hidden: Tensor) -> Tensor:
    """Replace hidden pixels by the solution of their equations.

    An image that is hidden wholly gets its mean colour: its equations say only that it is constant.

    Parameters
    ----------
    images : Tensor
        Of shape (N, C, H, W).
    hidden : Tensor
        Bool of shape (N, H, W).

    Returns
    -------
    Tensor
        As `images`. Rows do not depend on each other.
    """
    weight = hidden[:, None].to(images)
    degree = _neighbor_sum(torch.ones_like(weight[:1]))
    shown = torch.where(hidden[:, None], 0, images)
    guess = _guess(images, hidden) * weight
    residual = weight * (_neighbor_sum(shown + guess) - degree * guess)
    goal = torch.maximum(_dot(residual, residual) * TOLERANCE**2, _dot(guess, guess) * _ROUNDING**2)
    return shown + guess + _solve(residual, weight, degree, goal)


def _guess(images: Tensor, hidden: Tensor) -> Tensor:
    """The mean colour of what is shown; of the whole image if nothing is. Shape (N, C, 1, 1)."""
    seen = ~hidden | hidden.all(2, keepdim=True).all(1, keepdim=True)
    total = torch.where(seen[:, None], images, 0).sum((2, 3), keepdim=True)
    return total / seen.sum((1, 2)).view(-1, 1, 1, 1)


def _solve(residual: Tensor, weight: Tensor, degree: Tensor, goal: Tensor) -> Tensor:
    """Conjugate gradients with the diagonal as preconditioner; a solved channel stands still.

    Parameters
    ----------
    residual : Tensor
        The right side, shape (N, C, H, W), zero where nothing is hidden.
    weight : Tensor
        1 where hidden, else 0, shape (N, 1, H, W).
    degree : Tensor
        The diagonal: the sum of the weights of each pixel's neighbours, shape (1, 1, H, W).
    goal : Tensor
        Squared norm of the residual at which a channel is solved, shape (N, C, 1, 1).
    """
    solution = torch.zeros_like(residual)
    scaled = residual / degree
    direction = scaled
    old = _dot(residual, scaled)
    for step in range(residual[0, 0].numel() if residual.numel() else 0):
        active = _dot(residual, residual) > goal
        if step % _STEPS_BETWEEN_LOOKS == 0 and not active.any():
            break
        image = weight * (degree * direction - _neighbor_sum(direction))
        length = torch.where(active, old / _dot(direction, image), 0)
        solution = solution + length * direction
        residual = residual - length * image
        scaled = residual / degree
        new = _dot(residual, scaled)
        direction = torch.where(active, scaled + new / old * direction, direction)
        old = torch.where(active, new, old)
    return solution


def _neighbor_sum(values: Tensor) -> Tensor:
    """The weighted sum of each pixel's neighbours; beyond the edge there is nothing.

    The weights are those of the separable mask (1, 2, 1) x (1, 2, 1) / 12 without its centre.
    """
    padded = functional.pad(values, (1, 1, 1, 1))
    rows = padded[..., :-2, :] + 2 * padded[..., 1:-1, :] + padded[..., 2:, :]
    both = rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:]
    return both / 12 - values / 3


def _dot(left: Tensor, right: Tensor) -> Tensor:
    return (left * right).sum((2, 3), keepdim=True)
