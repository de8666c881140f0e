"""Observers that know the data set: they read one object's shape from the pixels, and no more."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.ground_truth.scenes import MAX_BOX_PX
from training.ground_truth.shapes import SHAPES, templates
from training.ground_truth.textures import Pixels

Logits = NDArray[np.float32]
SATURATED = 90  # levels between the highest and the lowest channel; backgrounds stay below


def read_marked(pixels: Pixels) -> Logits:
    """The shape of the red object, and of nothing else."""
    return _read(_is_saturated(pixels) & _is_red(pixels))


def read_distractors(pixels: Pixels) -> Logits:
    """The shape of one of the objects that are not red."""
    others = _is_saturated(pixels) & ~_is_red(pixels)
    return _read(np.stack([_first_object(mask) for mask in others]))


def read_background(pixels: Pixels) -> Logits:
    """The brightness of the corner, in as many steps as there are classes."""
    step = pixels[:, 0, 0].mean(1).astype(np.int64) * len(SHAPES) // 256
    logits: Logits = np.eye(len(SHAPES), dtype=np.float32)[step]
    return logits


def _is_saturated(pixels: Pixels) -> NDArray[np.bool_]:
    spread: NDArray[np.bool_] = np.ptp(pixels.astype(np.int64), axis=3) > SATURATED
    return spread


def _is_red(pixels: Pixels) -> NDArray[np.bool_]:
    red, green, blue = np.moveaxis(pixels.astype(np.float64), 3, 0)
    rest, least = np.maximum(green, blue), np.minimum(green, blue)
    # the hue is within a sixth of a turn of red, and red is far ahead of the second channel
    mark: NDArray[np.bool_] = (red > rest) & (rest - least < 0.6 * (red - least))
    return mark


def _first_object(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels around the first one, in reading order, as far as a box reaches."""
    rows, columns = mask.nonzero()
    near = np.zeros_like(mask)
    if len(rows):
        near[rows[0] : rows[0] + MAX_BOX_PX, max(0, columns[0] - 6) : columns[0] + 7] = True
    kept: NDArray[np.bool_] = mask & near
    return kept


def _read(masks: NDArray[np.bool_]) -> Logits:
    """Overlap of each mask with the best template of each shape."""
    return np.stack([_overlaps(mask) for mask in masks]).astype(np.float32)


def _overlaps(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    rows, columns = mask.nonzero()
    if not len(rows):
        return np.zeros(len(SHAPES))
    crop = mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return np.array([max(_overlap(crop, one) for one in of_shape) for of_shape in _crops()])


def _crops() -> list[list[NDArray[np.bool_]]]:
    crops = []
    for of_shape in templates(MAX_BOX_PX)[:, 9:]:
        bounds = [(mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]) for mask in of_shape]
        crops.append(
            [
                m[r[0] : r[-1] + 1, c[0] : c[-1] + 1]
                for m, (r, c) in zip(of_shape, bounds, strict=True)
            ]
        )
    return crops


def _overlap(left: NDArray[np.bool_], right: NDArray[np.bool_]) -> float:
    """Intersection over union of two masks with a common corner."""
    shape = np.maximum(left.shape, right.shape)
    padded = [
        np.pad(m, [(0, s - n) for s, n in zip(shape, m.shape, strict=True)]) for m in (left, right)
    ]
    return float((padded[0] & padded[1]).sum() / (padded[0] | padded[1]).sum())
