"""How alike two maps are: correlations and structural similarity, for each pair of a batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

_IS_CONSTANT = 1e-6  # a spread below this share of the values is rounding
_WINDOW = 7  # side of the windows of the structural similarity
_K1, _K2 = 0.01, 0.03


@dataclass(frozen=True)
class Similarity:
    """How alike the maps of each pair are; 1 for equal maps.

    Attributes
    ----------
    rank : Tensor
        Spearman's correlation of the pixels, from -1 to 1, shape (N,).
    absolute_rank : Tensor
        That of the absolute values.
    structural : Tensor
        Structural similarity, from -1 to 1, of maps that are divided by their largest absolute
        value, and shifted above zero: of values of either sign, the inverse would be similar.
    """

    rank: Tensor
    absolute_rank: Tensor
    structural: Tensor


def compare(left: Tensor, right: Tensor) -> Similarity:
    """Compare maps of shape (N, H, W) as Adebayo et al. 2018, arXiv:1810.03292, section 3."""
    return Similarity(
        spearman(left, right),
        spearman(left.abs(), right.abs()),
        structural_similarity(_from_0_to_2(left), _from_0_to_2(right), 2.0),
    )


def pearson(left: Tensor, right: Tensor) -> Tensor:
    """Pearson's correlation of each row, float64 of shape (N,); 0 if either is constant.

    Parameters
    ----------
    left, right : Tensor
        Of shape (N, ...).
    """
    x, y = _centered(left), _centered(right)
    return (x * y).sum(1)


def spearman(left: Tensor, right: Tensor) -> Tensor:
    """Spearman's rank correlation of each row, float64 of shape (N,).

    Equal values share the mean of their ranks. If either row is constant it is 0, but 1 for rows
    that are equal: a map that never changes is as similar as can be.
    """
    same = (left == right).flatten(1).all(1)
    return torch.where(same, 1.0, pearson(_ranks(left.flatten(1)), _ranks(right.flatten(1))))


def structural_similarity(left: Tensor, right: Tensor, data_range: Tensor | float) -> Tensor:
    """Mean structural similarity: Wang et al. 2004, doi:10.1109/TIP.2003.819861, equation 13.

    Uniform windows of 7x7 pixels (fewer in smaller maps) that lie wholly inside, with sample
    covariances: scikit-image's defaults.

    Parameters
    ----------
    left, right : Tensor
        Of shape (N, H, W).
    data_range : Tensor or float
        The largest difference that values can have: for all, or for each pair, shape (N,).

    Returns
    -------
    Tensor
        Float64 of shape (N,).
    """
    shorter = min(left.shape[1:])
    side = min(_WINDOW, shorter - (shorter + 1) % 2)
    x, y = left.double()[:, None], right.double()[:, None]
    sample = side**2 / max(1, side**2 - 1)
    products = torch.cat([x, y, x * x, y * y, x * y], 1)
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = functional.avg_pool2d(products, side, 1).unbind(1)
    var_x, var_y = sample * (mean_xx - mean_x.square()), sample * (mean_yy - mean_y.square())
    covariance = sample * (mean_xy - mean_x * mean_y)
    full = torch.as_tensor(data_range, dtype=torch.float64, device=x.device).reshape(-1, 1, 1)
    c1, c2 = (_K1 * full) ** 2, (_K2 * full) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x.square() + mean_y.square() + c1)
    structure = (2 * covariance + c2) / (var_x + var_y + c2)
    return (luminance * structure).mean((1, 2))


def _centered(rows: Tensor) -> Tensor:
    """Rows without their mean, of norm 1; zeros for constant rows."""
    values = rows.flatten(1).double()
    centered = values - values.mean(1, keepdim=True)
    norm = torch.linalg.vector_norm(centered, dim=1, keepdim=True)
    size = torch.linalg.vector_norm(values, dim=1, keepdim=True)
    is_constant = norm <= _IS_CONSTANT * size
    return torch.where(is_constant, 0, centered / norm)


def _ranks(rows: Tensor) -> Tensor:
    ranked = rows.sort(dim=1).values
    below = torch.searchsorted(ranked, rows.contiguous())
    upto = torch.searchsorted(ranked, rows.contiguous(), right=True)
    return (below + upto + 1).double() / 2


def _from_0_to_2(maps: Tensor) -> Tensor:
    highest = maps.abs().amax((1, 2), keepdim=True)
    return torch.where(highest > 0, maps / highest, 0) + 1
