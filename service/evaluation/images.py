"""Folders of images as pixels of the size that a network takes."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.errors import NotAnImage, ServiceError
from service.files import read_file
from service.imaging.decode import EncodedImage
from service.imaging.formats import SUFFIXES
from service.imaging.pictures import PictureSpec, load_picture
from service.models.card import ModelCard
from service.runtime.cores import usable_cores
from service.runtime.jobs import Pixels

MAX_IMAGE_BYTES = 2**28
MAX_PIXELS = 40_000_000


class ImagesError(ServiceError):
    """A folder of images is missing, or has none that can be read."""

    type = "images-error"
    title = "The images cannot be read"


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images of a folder.

    Attributes
    ----------
    pixels : NDArray[uint8]
        RGB, shape (N, H, W, 3).
    labels : NDArray[int64]
        Index of each image's class, shape (N,); -1 where its folder is not named after one.
    paths : tuple of Path
        The files.
    failed : tuple of (Path, str)
        Files that were left out, and why.
    """

    pixels: Pixels
    labels: NDArray[np.int64]
    paths: tuple[Path, ...]
    failed: tuple[tuple[Path, str], ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    def subset(self, indices: NDArray[np.int64]) -> ImageSet:
        """Take some images, in the order of `indices`."""
        paths = tuple(self.paths[index] for index in indices)
        return ImageSet(self.pixels[indices], self.labels[indices], paths, self.failed)

    def shuffled(self, seed: int) -> ImageSet:
        """The images in a random order, so that the first ones are of all folders."""
        return self.subset(np.random.default_rng(seed).permutation(len(self)))


def load_images(folder: Path, card: ModelCard, n: int | None = None, seed: int = 0) -> ImageSet:
    """Load images of a folder and its sub-folders, sorted by path.

    A folder with the sub-folders `train` and `test` is a data set, of which `test` is taken.

    Parameters
    ----------
    folder : Path
        Images; a folder that is named after a class says that its images are of that class.
    card : ModelCard
        The network's card: images are cropped and resized as the service does.
    n : int, optional
        How many at most: as many of each folder as there are, chosen by `seed`; all by default.
    seed : int
        Of the choice.

    Raises
    ------
    ImagesError
        The folder is missing, or has no image that can be read.
    """
    return read_images(sample_paths(list_images(folder), n, seed), card)


def read_images(paths: Sequence[Path], card: ModelCard) -> ImageSet:
    """Read image files, in their order; those that cannot be read are left out.

    Raises
    ------
    ImagesError
        None can be read.
    """
    spec = picture_spec(card)
    with ThreadPoolExecutor(usable_cores(), thread_name_prefix="image") as pool:
        loaded = list(pool.map(partial(_try_pixels, spec=spec), paths))
    failed = tuple(
        (path, str(one)) for path, one in zip(paths, loaded, strict=True) if isinstance(one, str)
    )
    read = [
        (path, one) for path, one in zip(paths, loaded, strict=True) if not isinstance(one, str)
    ]
    if not read:
        path, reason = failed[0]
        raise ImagesError(f"none of the images can be read; {path}: {reason}")
    indices = {label: index for index, label in enumerate(card.labels)}
    labels = np.array([indices.get(path.parent.name, -1) for path, _ in read], dtype=np.int64)
    return ImageSet(
        np.stack([pixels for _, pixels in read]), labels, tuple(path for path, _ in read), failed
    )


def list_images(folder: Path) -> list[Path]:
    """The image files of a folder and its sub-folders, sorted, without hidden ones.

    Raises
    ------
    ImagesError
        The folder is missing, cannot be read, or has no images.
    """
    if not folder.is_dir():
        raise ImagesError(f"there is no folder {folder}; give a folder of images")
    is_data_set = (folder / "train").is_dir() and (folder / "test").is_dir()
    top = folder / "test" if is_data_set else folder
    found = sorted(_walk(top))
    if not found:
        raise ImagesError(f"there are no images in {top} ({', '.join(SUFFIXES[:5])}, ...)")
    return found


def sample_paths(paths: Sequence[Path], n: int | None, seed: int = 0) -> list[Path]:
    """Choose `n` of the paths, from each folder as evenly as there are files; keeps their order."""
    if n is None or n >= len(paths):
        return list(paths)
    by_folder: defaultdict[Path, list[Path]] = defaultdict(list)
    for path in paths:
        by_folder[path.parent].append(path)
    generator = np.random.default_rng(seed)
    ranked: list[tuple[int, int, Path]] = []
    for number, inside in enumerate(by_folder.values()):
        order = generator.permutation(len(inside))
        ranked += ((rank, number, inside[index]) for rank, index in enumerate(order))
    return sorted(path for _, _, path in sorted(ranked)[:n])


def picture_spec(card: ModelCard) -> PictureSpec:
    """How the service makes a network's input of an image file, with its default options."""
    red, green, blue = (round(255 * value) for value in card.mean)
    return PictureSpec(card.input_size, "crop", (red, green, blue), card.resize)


def read_pixels(path: Path, spec: PictureSpec) -> Pixels:
    """Read an image file; returns uint8 of shape (H, W, 3).

    Raises
    ------
    ServiceError
        It cannot be read or decoded.
    """
    try:
        content = read_file(path, MAX_IMAGE_BYTES)
    except OSError as error:
        raise NotAnImage(f"the file cannot be read: {error.strerror}") from error
    image, _ = load_picture(EncodedImage(content), spec, MAX_PIXELS)
    return image.pixels


def _try_pixels(path: Path, spec: PictureSpec) -> Pixels | str:
    try:
        return read_pixels(path, spec)
    except ServiceError as error:
        return error.detail


def _walk(top: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(top, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                yield Path(parent, name)


def _raise(error: OSError) -> None:
    raise ImagesError(f"the folder {error.filename} cannot be read: {error.strerror}") from error
