"""Traces that a transformation leaves in images, and how clearly images show them."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from service.evaluation.audit.clustering import import_sklearn
from service.evaluation.audit.features import Features
from service.runtime.jobs import Pixels

_BLOCK = 8
_N_HUES = 12
_Z = 1.96  # of a 95% interval
_LUMINANCE = ((0.299, 0.587, 0.114), (-0.169, -0.331, 0.5), (0.5, -0.419, -0.081))  # JPEG's YCbCr


def describe(pixels: Pixels) -> Features:
    """Statistics of images: colours, energy by frequency, and edges of blocks; shape (N, D)."""
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).double() / 255
    luminance = torch.einsum("kc,nchw->nkhw", torch.tensor(_LUMINANCE).double(), images)
    parts = (_colors(images), _energies(luminance), _edges(luminance[:, 0]))
    return np.asarray(torch.cat(parts, 1))


def measure_trace(plain: Features, transformed: Features, images: Features) -> Features:
    """How much images look as if they had been transformed, by a linear discriminant.

    Parameters
    ----------
    plain, transformed : NDArray[float64]
        Descriptions of the same images before and after.
    images : NDArray[float64]
        Descriptions of the images in question, shape (N, D).

    Returns
    -------
    NDArray[float64]
        Shape (N,): above 0 if they rather look transformed.
    """
    analysis = import_sklearn("sklearn.discriminant_analysis")
    points = np.concatenate([plain, transformed])
    center, spread = points.mean(0), points.std(0) + 1e-6
    model = analysis.LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    model.fit((points - center) / spread, np.repeat([0, 1], len(plain)))
    traces: Features = model.decision_function((images - center) / spread)
    return traces


def separation(inside: Features, outside: Features) -> float:
    """How well values tell two groups apart: 1 if all of `inside` are higher, 0 if half of pairs.

    Twice the lower bound of the area under the ROC curve, less 1; never below 0. The bound is that
    of a 95% interval (Hanley and McNeil 1982, Radiology 143:29): of many small groups, some are
    apart by chance.
    """
    n_inside, n_outside = len(inside), len(outside)
    if not (n_inside and n_outside):
        return 0.0
    higher = inside[:, None] > outside
    equal = inside[:, None] == outside
    area = float((higher + 0.5 * equal).mean())
    of_inside = area / (2 - area) - area**2
    of_outside = 2 * area**2 / (1 + area) - area**2
    variance = area * (1 - area) + (n_inside - 1) * of_inside + (n_outside - 1) * of_outside
    low = area - _Z * math.sqrt(max(0.0, variance / (n_inside * n_outside)))
    return max(0.0, 2 * low - 1)


def _colors(images: Tensor) -> Tensor:
    maximum, minimum = images.amax(1), images.amin(1)
    saturation = maximum - minimum
    red, green, blue = images.unbind(1)
    angle = torch.atan2(3**0.5 * (green - blue), 2 * red - green - blue)
    bins = (angle / (2 * torch.pi) % 1 * _N_HUES).long().clamp(max=_N_HUES - 1).flatten(1)
    hues = images.new_zeros(len(images), _N_HUES).scatter_add_(1, bins, saturation.flatten(1))
    hues = hues / hues.sum(1, keepdim=True).clamp(min=1e-6)
    moments = (images.mean((2, 3)), images.std((2, 3)), saturation.mean((1, 2))[:, None])
    return torch.cat((hues.sqrt(), *moments), 1)


def _energies(luminance: Tensor) -> Tensor:
    """Log energy of the 8 x 8 cosine transform by frequency, for luminance and both chromas."""
    n, _, height, width = luminance.shape
    rows, columns = height // _BLOCK, width // _BLOCK
    cut = luminance[:, :, : rows * _BLOCK, : columns * _BLOCK]
    blocks = cut.reshape(n, 3, rows, _BLOCK, columns, _BLOCK).permute(0, 1, 2, 4, 3, 5)
    basis = _cosines()
    energy = (basis @ blocks @ basis.T).square().mean((2, 3)).flatten(2)
    order = (torch.arange(_BLOCK)[:, None] + torch.arange(_BLOCK)).flatten()
    by_order = energy.new_zeros(n, 3, 2 * _BLOCK - 1).index_add_(2, order, energy)
    return (by_order + 1e-7).log().flatten(1)


def _edges(luminance: Tensor) -> Tensor:
    """Steps between the blocks of 8 pixels, against the steps inside of them."""
    steps = []
    for axis in (1, 2):
        step = luminance.diff(dim=axis).abs().mean(3 - axis)
        is_edge = torch.arange(step.shape[1]) % _BLOCK == _BLOCK - 1
        inner = step[:, ~is_edge].mean(1)
        edge = step[:, is_edge].mean(1) if bool(is_edge.any()) else inner
        steps += [(inner + 1e-4).log(), ((edge + 1e-4) / (inner + 1e-4)).log()]
    return torch.stack(steps, 1)


def _cosines() -> Tensor:
    frequency, place = torch.arange(_BLOCK)[:, None], torch.arange(_BLOCK)
    basis = (torch.pi * (place + 0.5) * frequency / _BLOCK).cos().double()
    basis[0] /= 2**0.5
    orthonormal: Tensor = basis * (2 / _BLOCK) ** 0.5
    return orthonormal
