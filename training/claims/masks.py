"""Masks of objects without annotations: GrabCut from a centred rectangle.

Rother, Kolmogorov and Blake 2004, "GrabCut": interactive foreground extraction using iterated
graph cuts, ACM Transactions on Graphics 23(3). It needs opencv, of the extra `eval`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from service.errors import ServiceError

Masks = NDArray[np.bool_]
_CHUNK = 50  # masks between two writes of the file: about half a minute
_N_GAUSSIAN_VALUES = 65  # of the colour models that GrabCut keeps: 5 Gaussians of 13 values


class MissingEvalError(ServiceError):
    """A library of the extra `eval` is not installed."""

    type = "missing-extra"
    title = "An optional part is not installed"


@dataclass(frozen=True)
class GrabCut:
    """How masks are found, and which are rejected.

    Attributes
    ----------
    enlarge : int
        Images are enlarged by this factor (cubic) first: GrabCut smooths over a few pixels, which
        at 32x32 are whole parts of an object. At a factor of 4 it found nothing in every sixth
        image, at 8 in none of 30.
    margin : float
        Share of the side that is background for certain, at each edge: the rectangle that GrabCut
        starts from is what lies inside.
    n_iterations : int
        Rounds of colour models and cuts.
    min_share, max_share : float
        Masks of a smaller or larger share of the image are rejected: the cut found no object, or
        took everything for one.
    min_connected : float
        Masks whose largest connected piece has less than this share of their pixels are rejected:
        the cut fell to pieces.
    """

    enlarge: int = 8
    margin: float = 1 / 16
    n_iterations: int = 3
    min_share: float = 0.05
    max_share: float = 0.7
    min_connected: float = 0.75

    def find(self, pixels: NDArray[np.uint8]) -> Masks:
        """Find the object of an image.

        Parameters
        ----------
        pixels : NDArray[uint8]
            RGB, shape (H, W, 3).

        Returns
        -------
        NDArray[bool]
            Shape (H, W): a pixel is of the object if most of its enlarged pixels are.
        """
        cv2 = import_cv2()
        height, width = pixels.shape[:2]
        wide, high = width * self.enlarge, height * self.enlarge
        large = cv2.resize(pixels, (wide, high), interpolation=cv2.INTER_CUBIC)[..., ::-1]
        across, down = round(wide * self.margin), round(high * self.margin)
        rectangle = (across, down, wide - 2 * across, high - 2 * down)
        found = np.zeros((high, wide), np.uint8)
        cv2.setRNGSeed(0)  # of this thread: the colour models start from random clusters
        models = (np.zeros((1, _N_GAUSSIAN_VALUES)), np.zeros((1, _N_GAUSSIAN_VALUES)))
        cv2.grabCut(
            np.ascontiguousarray(large), found, rectangle, *models,
            self.n_iterations, cv2.GC_INIT_WITH_RECT,
        )  # fmt: skip
        is_object = np.isin(found, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)
        share: NDArray[np.float32] = cv2.resize(
            is_object, (width, height), interpolation=cv2.INTER_AREA
        )
        return share >= 0.5

    def is_sound(self, mask: Masks) -> bool:
        """Whether a mask, shape (H, W), passes the rule that rejects degenerate ones."""
        share = float(mask.mean())
        if not self.min_share <= share <= self.max_share:
            return False
        n_labels, labels = import_cv2().connectedComponents(mask.astype(np.uint8))
        sizes = np.bincount(labels.ravel(), minlength=n_labels)[1:]
        return float(sizes.max() / sizes.sum()) >= self.min_connected


def import_cv2() -> Any:
    """Import opencv.

    Raises
    ------
    MissingEvalError
        It is not installed.
    """
    try:
        import cv2
    except ImportError as error:
        raise MissingEvalError(
            "masks of objects need opencv: pip install 'lrpserve[eval]'"
        ) from error
    return cv2


def find_masks(images: Tensor, settings: GrabCut, kept: Path) -> tuple[Masks, Masks]:
    """Find the objects of images, and keep them in a file: an interrupted run goes on from there.

    Parameters
    ----------
    images : Tensor
        uint8, shape (N, 3, H, W).
    settings : GrabCut
        How.
    kept : Path
        An npz file.

    Returns
    -------
    masks : NDArray[bool]
        Shape (N, H, W).
    is_sound : NDArray[bool]
        Shape (N,): whether each passes the rule of `settings`.
    """
    masks = _read_masks(kept, images, settings)
    for found in _in_chunks(images, settings, len(masks)):
        masks = np.concatenate([masks, found])
        _write_masks(kept, masks, images, settings)
    return masks, np.array([settings.is_sound(mask) for mask in masks])


def dilate(masks: Masks, radius: int) -> Masks:
    """Grow masks, shape (N, H, W), by so many pixels in every direction."""
    cv2 = import_cv2()
    kernel = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    grown = [cv2.dilate(mask.astype(np.uint8), kernel) for mask in masks]
    return np.stack(grown).astype(bool)


def _in_chunks(images: Tensor, settings: GrabCut, start: int) -> Iterator[Masks]:
    pixels = np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy())
    import_cv2().setNumThreads(1)  # one image on each core
    with ThreadPoolExecutor() as pool:
        for first in range(start, len(pixels), _CHUNK):
            yield np.stack(list(pool.map(settings.find, pixels[first : first + _CHUNK])))


def _key(images: Tensor, settings: GrabCut) -> str:
    """Masks are only taken from a file if the same images were cut in the same way."""
    digest = hashlib.sha256(images.contiguous().numpy().tobytes()).hexdigest()
    return f"{digest} {asdict(settings)}"


def _read_masks(kept: Path, images: Tensor, settings: GrabCut) -> Masks:
    size = images.shape[2:]
    nothing: Masks = np.zeros((0, *size), bool)
    if not kept.is_file():
        return nothing
    with np.load(kept) as stored:
        key, packed = str(stored["key"]), stored["bits"]
    if key != _key(images[: len(packed)], settings):
        return nothing
    bits: Masks = np.unpackbits(packed, axis=1).astype(bool)[: len(images)]
    return bits[:, : size[0] * size[1]].reshape(-1, *size)


def _write_masks(kept: Path, masks: Masks, images: Tensor, settings: GrabCut) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    whole = kept.with_suffix(".part.npz")
    bits = np.packbits(masks.reshape(len(masks), -1), axis=1)
    np.savez(whole, bits=bits, key=np.array(_key(images[: len(masks)], settings)))
    whole.replace(kept)
