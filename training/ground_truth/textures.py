"""Backgrounds and fills: textures in muted colours, and saturated colours of objects."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
GRATING, BLOBS, CHECKERS = range(3)
_TINT = 24  # how far a channel of a muted colour may lie from its grey level
_BLOB_GRID = 6  # random values along a side, between which is interpolated
_NOISE = 6.0  # standard deviation of the noise of single pixels, in grey levels


def backgrounds(n: int, size: int, rng: np.random.Generator) -> Pixels:
    """Draw `n` textures in two muted colours each, shape (n, size, size, 3).

    A third each are gratings of any direction, interpolated random values, and checkers.
    """
    kind = rng.integers(3, size=n)
    patterns = np.empty((n, size, size), np.float32)
    for number, draw in ((GRATING, _gratings), (BLOBS, _blobs), (CHECKERS, _checkers)):
        chosen = kind == number
        patterns[chosen] = draw(int(chosen.sum()), size, rng)
    first, second = _muted(n, rng), _muted(n, rng)
    mixed = first + (second - first) * patterns[..., None]
    mixed += _noise(n, size, rng)
    return to_pixels(mixed)


def grains(n: int, size: int, rng: np.random.Generator) -> NDArray[np.int8]:
    """Draw the texture of the objects' surfaces, in grey levels, shape (n, size, size, 1)."""
    stripes = 16 * (_gratings(n, size, rng)[..., None] - 0.5)
    levels: NDArray[np.int8] = np.clip(np.rint(stripes + _noise(n, size, rng)), -100, 100).astype(
        np.int8
    )
    return levels


def saturated(hue: Floats, rng: np.random.Generator) -> Pixels:
    """Colours of a hue, in turns from 0 (red), with random saturation and brightness.

    Returns
    -------
    NDArray[uint8]
        Shape (..., 3).
    """
    saturation = _uniform(0.75, 1, (*hue.shape, 1), rng)
    brightness = _uniform(0.7, 1, (*hue.shape, 1), rng)
    third = np.array([0, 2 / 3, 1 / 3], np.float32)  # HSV: a trapezium for each channel
    distance = np.abs((hue[..., None] + third) % 1 * 6 - 3)
    full = np.clip(distance - 1, 0, 1)
    return to_pixels(255 * brightness * (1 - saturation * (1 - full)))


def to_pixels(values: Floats) -> Pixels:
    """Round to uint8; what lies outside of 0 to 255 is clipped."""
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)


def _noise(n: int, size: int, rng: np.random.Generator) -> Floats:
    return _NOISE * rng.standard_normal((n, size, size, 1), np.float32)


def _uniform(low: float, high: float, shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    return rng.uniform(low, high, shape).astype(np.float32)


def _muted(n: int, rng: np.random.Generator) -> Floats:
    return _uniform(40, 200, (n, 1, 1, 1), rng) + _uniform(-_TINT, _TINT, (n, 1, 1, 3), rng)


def _gratings(n: int, size: int, rng: np.random.Generator) -> Floats:
    angle, phase = (_uniform(0, 2 * np.pi, (n, 1, 1), rng) for _ in range(2))
    frequency = 2 * np.pi / _uniform(4, 16, (n, 1, 1), rng)  # of a wave of 4 to 16 pixels
    steps = np.arange(size, dtype=np.float32)
    along = np.cos(angle) * steps[None, :, None] + np.sin(angle) * steps[None, None, :]
    waves: Floats = (0.5 + 0.5 * np.sin(frequency * along + phase)).astype(np.float32)
    return waves


def _blobs(n: int, size: int, rng: np.random.Generator) -> Floats:
    places = np.linspace(0, _BLOB_GRID - 1, size)[:, None]
    weights = np.clip(1 - np.abs(places - np.arange(_BLOB_GRID)), 0, 1).astype(np.float32)
    blobs: Floats = weights @ _uniform(0, 1, (n, _BLOB_GRID, _BLOB_GRID), rng) @ weights.T
    return blobs


def _checkers(n: int, size: int, rng: np.random.Generator) -> Floats:
    side = rng.integers(3, 9, (n, 1, 1))
    shift = rng.integers(0, 16, (2, n, 1, 1))
    steps = np.arange(size)
    rows = (steps[None, :, None] + shift[0]) // side
    columns = (steps[None, None, :] + shift[1]) // side
    checkers: Floats = ((rows + columns) % 2).astype(np.float32)
    return checkers
