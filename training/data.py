"""Data sets as uint8 tensors: the original CIFAR-10, or a folder of images."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchvision.datasets import CIFAR10, ImageFolder

from service.errors import ServiceError
from service.evaluation.images import read_pixels
from service.imaging.pictures import PictureSpec

CIFAR10_SOURCE = "cifar10"
Channels = tuple[float, float, float]  # a value for red, green and blue
_TEST_SHARE = 6  # without a test folder every sixth image is held out for the test
_PAD_FILL = (0, 0, 0)  # `crop` never pads


class DataError(ServiceError):
    """The data is missing, or not laid out as a data set."""

    type = "data-error"
    title = "The data cannot be used"


@dataclass(frozen=True)
class Split:
    """Images, uint8 of shape (N, 3, H, W), and labels, int64 of shape (N,)."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: Tensor) -> Split:
        """Take some images, in the order of `indices`."""
        return Split(self.images[indices], self.labels[indices])

    def to(self, device: torch.device) -> Split:
        """Move to a device."""
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class DataSet:
    """A training and a test split, with a description of the images for the card."""

    train: Split
    test: Split
    class_names: tuple[str, ...]
    description: str


def load_data(source: str, cache: Path, size: tuple[int, int] = (32, 32)) -> DataSet:
    """Load a data set.

    Parameters
    ----------
    source : str
        `cifar10` for the original (downloaded to `cache` if missing), or a folder:
        `train/<class>/*` and `test/<class>/*`, or only `<class>/*`, of which every sixth image is
        in the test set.
    cache : Path
        Folder of the original CIFAR-10.
    size : tuple of 2 int
        Height and width; images of other sizes are cropped and resized as the service does.

    Raises
    ------
    DataError
        `source` is missing, an image is broken, or there are fewer than two classes.
    """
    if source == CIFAR10_SOURCE:
        return _load_cifar10(cache)
    root = Path(source)
    if not root.is_dir():
        raise DataError(f"there is no folder {source}; give a folder of images or `cifar10`")
    if (root / "train").is_dir() and (root / "test").is_dir():
        train, names = _load_folder(root / "train", size)
        test, test_names = _load_folder(root / "test", size)
        if names != test_names:
            raise DataError(f"{root}: train and test do not have the same classes")
    else:
        everything, names = _load_folder(root, size)
        is_test = torch.arange(len(everything)) % _TEST_SHARE == 0
        test, train = (everything.subset(m.nonzero()[:, 0]) for m in (is_test, ~is_test))
    return DataSet(train, test, names, root.resolve().name)


def hold_out(split: Split, n: int, seed: int) -> tuple[Split, Split]:
    """Split off `n` random images: (the rest, the images held out)."""
    if n >= len(split):
        raise DataError(f"{len(split)} training images are too few to hold out {n} of them")
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))
    return split.subset(order[n:]), split.subset(order[:n])


def channel_statistics(split: Split) -> tuple[Channels, Channels]:
    """Mean and standard deviation of each channel, for values in [0, 1], to four digits.

    Raises
    ------
    DataError
        A channel is constant, so that it cannot be normalized.
    """
    counts = [
        torch.bincount(split.images[:, c].flatten(), minlength=256).double() for c in range(3)
    ]
    values = torch.arange(256, dtype=torch.float64) / 255
    means = [float((n * values).sum() / n.sum()) for n in counts]
    variances = [
        float((n * (values - mean) ** 2).sum() / n.sum())
        for n, mean in zip(counts, means, strict=True)
    ]
    spreads = _channels([variance**0.5 for variance in variances])
    if min(spreads) == 0:
        raise DataError("a colour channel has the same value in all training images")
    return _channels(means), spreads


def _channels(values: list[float]) -> Channels:
    red, green, blue = (round(value, 4) for value in values)
    return (red, green, blue)


def _load_cifar10(cache: Path) -> DataSet:
    try:
        parts = [CIFAR10(str(cache), train=train, download=True) for train in (True, False)]
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"CIFAR-10 is not in {cache} and cannot be downloaded ({error}); "
            "give a folder of images"
        ) from error
    train, test = (
        Split(torch.from_numpy(p.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(p.targets))
        for p in parts
    )
    return DataSet(train, test, tuple(parts[0].classes), "CIFAR-10")


def _load_folder(root: Path, size: tuple[int, int]) -> tuple[Split, tuple[str, ...]]:
    try:
        folder = ImageFolder(str(root))
    except FileNotFoundError as error:
        raise DataError(f"{root} has no class folders with images in them") from error
    if len(folder.classes) < 2:
        raise DataError(f"{root} has one class folder, {folder.classes[0]}; give two or more")

    spec = PictureSpec(size, "crop", _PAD_FILL)

    def load_one(path: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        try:
            return read_pixels(Path(path), spec)
        except ServiceError as error:
            raise DataError(f"{path} cannot be read: {error.detail}") from error

    with ThreadPoolExecutor() as pool:
        images = np.stack(list(pool.map(load_one, (path for path, _ in folder.samples))))
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    return Split(pixels, torch.tensor(folder.targets)), tuple(folder.classes)
