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
_STEPS_BETWEEN_LOOKS = 4  # at what is solved: on a GPU, a look waits for the device
_FEW = 0.8  # of the images unsolved: the others are set aside
_VALUES_ON_CPU = 128 * 3 * 32 * 32  # solved at once: more do not fit into its cache


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
    n_at_once = max(1, len(images))
    if images.device.type == "cpu":
        n_at_once = max(1, _VALUES_ON_CPU // max(1, images[:1].numel()))
    parts = zip(images.split(n_at_once), hidden.split(n_at_once), strict=True)
    return torch.cat([_impute(some, mask) for some, mask in parts])


def _impute(images: Tensor, hidden: Tensor) -> Tensor:
    weight = hidden[:, None].to(images)
    degree = _neighbor_sum(functional.pad(torch.ones_like(weight[:1]), (1, 1, 1, 1)))
    scale = weight / degree.sqrt()
    known = torch.where(hidden[:, None], _guess(images, hidden), images)
    gap = _neighbor_sum(functional.pad(known, (1, 1, 1, 1))) - degree * known
    residual = scale * gap
    goal = torch.maximum(
        _dot(residual, residual) * TOLERANCE**2, _dot(weight * known, known) * _ROUNDING**2
    )
    return known + scale * _solve(residual, scale, goal)


def _guess(images: Tensor, hidden: Tensor) -> Tensor:
    """The mean colour of what is shown; of the whole image if nothing is. Shape (N, C, 1, 1)."""
    seen = ~hidden | hidden.all(2, keepdim=True).all(1, keepdim=True)
    total = torch.where(seen[:, None], images, 0).sum((2, 3), keepdim=True)
    return total / seen.sum((1, 2)).view(-1, 1, 1, 1)


def _solve(residual: Tensor, scale: Tensor, goal: Tensor) -> Tensor:
    """Conjugate gradients, in place, for the system that is scaled to a diagonal of ones.

    Parameters
    ----------
    residual : Tensor
        The right side, shape (N, C, H, W), zero where nothing is hidden.
    scale : Tensor
        One over the root of the diagonal where hidden, else 0, shape (N, 1, H, W).
    goal : Tensor
        Squared norm of the residual at which a channel is solved, shape (N, C, 1, 1): it stands
        still from then on, so that it does not depend on the others.
    """
    solved, rows = torch.zeros_like(residual), torch.arange(len(residual), device=residual.device)
    solution, direction, norm = solved.clone(), residual.clone(), _dot(residual, residual)
    padded = functional.pad(solution, (1, 1, 1, 1))
    for step in range(residual[0, 0].numel()):
        if step % _STEPS_BETWEEN_LOOKS == 0:
            unsolved = (norm > goal).any(1).flatten()
            n_unsolved = int(unsolved.sum())
            if n_unsolved == 0:
                break
            if n_unsolved < _FEW * len(rows):
                solved[rows] = solution
                state = (rows, solution, residual, direction, norm, padded, scale, goal)
                rows, solution, residual, direction, norm, padded, scale, goal = (
                    one[unsolved] for one in state
                )
        active = norm > goal
        torch.mul(direction, scale, out=padded[..., 1:-1, 1:-1])
        image = torch.addcmul(direction, scale, _neighbor_sum(padded), value=-1)
        length = torch.where(active, norm / _dot(direction, image), 0)
        solution.addcmul_(length, direction)
        residual.addcmul_(-length, image)
        new = _dot(residual, residual)
        direction.mul_(torch.where(active, new / norm, 0)).add_(residual)
        norm = new
    solved[rows] = solution
    return solved


def _neighbor_sum(padded: Tensor) -> Tensor:
    """The weighted sum of each pixel's neighbours, of values with a border of zeros.

    The weights are those of the separable mask (1, 2, 1) x (1, 2, 1) / 12 without its centre.
    """
    rows = (padded[..., :-2, :] + padded[..., 2:, :]).add_(padded[..., 1:-1, :], alpha=2)
    both = (rows[..., :-2] + rows[..., 2:]).add_(rows[..., 1:-1], alpha=2)
    return both.sub_(padded[..., 1:-1, 1:-1], alpha=4).mul_(1 / 12)


def _dot(left: Tensor, right: Tensor) -> Tensor:
    shape = (-1, 1, left[0, 0].numel())
    products = torch.bmm(left.reshape(shape), right.reshape(shape).mT)
    return products.view(*left.shape[:2], 1, 1)
