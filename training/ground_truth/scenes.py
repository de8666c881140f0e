"""Scenes: what is in each image, as arrays, from which images and masks are rendered exactly."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from training.ground_truth.shapes import templates
from training.ground_truth.textures import Pixels

SIZE = 32  # height and width of an image, in pixels
MIN_BOX_PX, MAX_BOX_PX = 9, 12
DECIDER = 0  # the object that decides is the first of a scene, wherever it lies


@dataclass(frozen=True)
class Scenes:
    """N scenes of M objects that do not overlap; the class of a scene is the shape of object 0.

    Attributes
    ----------
    shape : NDArray[int64]
        Index into `SHAPES`, shape (N, M).
    top, left, box_px : NDArray[int64]
        First row, first column and side of the square box that an object fills, in pixels;
        shape (N, M).
    is_there : NDArray[bool]
        Whether an object is drawn, shape (N, M).
    color : NDArray[uint8]
        Colour of each object, shape (N, M, 3).
    grain : NDArray[int8]
        Added to the colour of objects, shape (N, SIZE, SIZE, 1).
    background : NDArray[uint8]
        Shape (N, SIZE, SIZE, 3).
    """

    shape: NDArray[np.int64]
    top: NDArray[np.int64]
    left: NDArray[np.int64]
    box_px: NDArray[np.int64]
    is_there: NDArray[np.bool_]
    color: Pixels
    grain: NDArray[np.int8]
    background: Pixels

    def __len__(self) -> int:
        return len(self.shape)

    @property
    def n_objects(self) -> int:
        """Number of objects of a scene, drawn or not."""
        return int(self.shape.shape[1])

    @property
    def labels(self) -> NDArray[np.int64]:
        """The class of each scene, shape (N,)."""
        return self.shape[:, DECIDER]

    def masks(self) -> NDArray[np.bool_]:
        """The pixels of each object, shape (N, M, SIZE, SIZE); none of an object not drawn."""
        masks = np.zeros((len(self), self.n_objects, SIZE, SIZE), np.bool_)
        masks[self._pixels()] = True
        return masks

    def render(self) -> Pixels:
        """The images, shape (N, SIZE, SIZE, 3)."""
        pixels = self.background.copy()
        image, number, row, column = self._pixels()
        surface = self.color[image, number].astype(np.int16) + self.grain[image, row, column]
        pixels[image, row, column] = np.clip(surface, 0, 255)
        return pixels

    def _pixels(self) -> tuple[NDArray[np.intp], ...]:
        """Image, object, row and column of each pixel of an object."""
        drawn = templates(MAX_BOX_PX)[self.shape, self.box_px] & self.is_there[:, :, None, None]
        image, number, row, column = drawn.nonzero()
        return image, number, row + self.top[image, number], column + self.left[image, number]

    def __getitem__(self, chosen: slice | NDArray[np.int64] | NDArray[np.bool_]) -> Scenes:
        """Some of the scenes."""
        return Scenes(*(getattr(self, field.name)[chosen] for field in fields(self)))


def place_boxes(
    n: int, n_objects: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Draw places of boxes that lie inside of the image, and apart by at least one pixel.

    Boxes are drawn independently and uniformly, and all boxes of an image again until none
    overlap: the place of a box never depends on what is drawn into it, and all boxes of an image
    have the same distribution.

    Returns
    -------
    top, left, box_px : NDArray[int64]
        Shape (n, n_objects).
    """
    top, left, box_px = (np.zeros((n, n_objects), np.int64) for _ in range(3))
    open_rows = np.arange(n)
    while len(open_rows):
        shape = (len(open_rows), n_objects)
        box_px[open_rows] = rng.integers(MIN_BOX_PX, MAX_BOX_PX + 1, shape)
        room = SIZE - box_px[open_rows] + 1
        top[open_rows] = rng.integers(0, room)
        left[open_rows] = rng.integers(0, room)
        places = (values[open_rows] for values in (top, left, box_px))
        open_rows = open_rows[_overlap(*places)]
    return top, left, box_px


def _overlap(
    top: NDArray[np.int64], left: NDArray[np.int64], box_px: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether any two boxes of an image touch."""
    apart = np.zeros((len(top), top.shape[1], top.shape[1]), np.bool_)
    for start in (top, left):
        is_before = (start + box_px)[:, :, None] < start[:, None, :]
        apart |= is_before | is_before.transpose(0, 2, 1)
    apart |= np.eye(top.shape[1], dtype=np.bool_)
    is_clear: NDArray[np.bool_] = np.logical_and.reduce(apart, axis=(1, 2))
    return np.logical_not(is_clear)
