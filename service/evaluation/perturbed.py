"""A set of images with patches hidden: what all methods share is computed once.

The curves of an image depend on the order of its patches only. Methods that order them alike, such
as two starts whose maps differ by a factor, share them, as do a map and its negative.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from service.evaluation.explained import Indices
from service.evidence.curves import PredictFn, area, perturbation_curve, probability
from service.evidence.fills import FILLS
from service.evidence.orders import least_relevant_first, most_relevant_first, random_orders
from service.evidence.patches import PatchGrid
from service.models.normalization import normalize
from service.runtime.device import usable_threads
from service.runtime.engine import Engine
from service.runtime.jobs import Pixels

SHARES = (1 / 8, 1 / 4, 1 / 2, 3 / 4)
_REFERENCE_SIDE = 32  # pixels of the input for which sides of patches are given
CountFn = Callable[[int], object]


@dataclass(frozen=True)
class Setting:
    """How images are perturbed.

    Attributes
    ----------
    side : int
        Of a patch, in pixels of an input of 32 pixels; larger inputs have larger patches.
    fill : str
        A key of `FILLS`.
    shares : tuple of float
        Shares of the patches that are hidden, between 0 and 1; both ends are added.
    """

    side: int
    fill: str
    shares: tuple[float, ...] = SHARES

    @property
    def name(self) -> str:
        """Such as `blur-4`."""
        return f"{self.fill}-{self.side}"

    def grid(self, height: int, width: int) -> PatchGrid:
        """The patches of an input."""
        side = max(1, round(self.side * min(height, width) / _REFERENCE_SIDE))
        return PatchGrid(height, width, side)


DECISIVE = Setting(4, "blur")


@dataclass(frozen=True, eq=False)
class Curves:
    """Probability of each target while patches are hidden, shape (N, shares and both ends).

    Attributes
    ----------
    morf, lerf : Tensor
        The most, and the least, relevant patches first.
    shares : tuple of float
        Hidden shares, from 0 to 1.
    """

    morf: Tensor
    lerf: Tensor
    shares: tuple[float, ...]

    @property
    def deletion(self) -> Tensor:
        """Area under the curve, most relevant first, shape (N,): lower is better."""
        return area(self.morf, self.shares)

    @property
    def insertion(self) -> Tensor:
        """Area under the curve, least relevant first, shape (N,): higher is better.

        To show patches, the most relevant first, is to hide the others, the least relevant first:
        it is the area of the insertion metric, whose curve is read from the other end.
        """
        return area(self.lerf, self.shares)

    @property
    def gap(self) -> Tensor:
        """Symmetric relevance gain: the area between both curves, shape (N,).

        Blücher et al. 2024, arXiv:2401.06654. Damage that any hidden patches do, wherever they
        are, is in both areas, and cancels: a map without information has 0, whatever the fill.
        """
        return self.insertion - self.deletion


class PerturbedSet:
    """Images, and the probability of their targets with patches hidden.

    Parameters
    ----------
    predict : callable
        Logits of normalized images.
    images : Tensor
        Normalized, shape (N, C, H, W).
    targets : Tensor
        Classes, int64 of shape (N,).
    setting : Setting
        Patches, fill and shares.
    progress : callable, optional
        Called with the number of images whose curve is done.
    """

    def __init__(
        self,
        predict: PredictFn,
        images: Tensor,
        targets: Tensor,
        setting: Setting,
        progress: CountFn | None = None,
    ) -> None:
        self._predict, self._images, self._targets = predict, images, targets
        self._progress, self.setting = progress, setting
        self.grid = setting.grid(*images.shape[2:])
        n_patches = self.grid.n_patches
        counts = {min(n_patches - 1, max(1, round(share * n_patches))) for share in setting.shares}
        self._counts = sorted(counts)
        self.shares = (0.0, *(count / n_patches for count in self._counts), 1.0)
        self._known: dict[tuple[int, bytes], Tensor] = {}
        any_order = torch.arange(n_patches).expand(len(images), -1)
        self._ends = self._compute(torch.arange(len(images)), any_order, [0, n_patches])

    def curves(self, relevance: Tensor) -> Curves:
        """Curves of relevance, shape (N, H, W). Ties are broken at random, by the image's place."""
        seeds = range(len(relevance))
        morf = self._curve(most_relevant_first(self.grid, relevance, seeds))
        lerf = self._curve(least_relevant_first(self.grid, relevance, seeds))
        return Curves(morf, lerf, self.shares)

    def random_curve(self, seed: int = 0) -> Tensor:
        """The curve of another random order for each image."""
        generator = torch.Generator().manual_seed(seed)
        return self._curve(random_orders(self.grid, len(self._images), generator))

    def _curve(self, order: Tensor) -> Tensor:
        """Shape (N, S); orders of an image that have been seen are looked up."""
        keys = [(index, _digest(row)) for index, row in enumerate(order)]
        unknown = torch.tensor([key[0] for key in keys if key not in self._known], dtype=torch.long)
        if len(unknown):
            found = self._compute(unknown, order[unknown], self._counts)
            self._known |= zip((keys[index] for index in unknown), found, strict=True)
        if self._progress:
            self._progress(len(order))
        inner = torch.stack([self._known[key] for key in keys])
        return torch.cat([self._ends[:, :1], inner, self._ends[:, 1:]], dim=1)

    def _compute(self, indices: Tensor, order: Tensor, counts: list[int]) -> Tensor:
        """The same seed for all: methods that are compared get the same noise."""
        return perturbation_curve(
            self._predict, self._images[indices], self._targets[indices], self.grid, order,
            FILLS[self.setting.fill], counts, torch.Generator().manual_seed(0), score=probability,
        ).cpu()  # fmt: skip


def perturb(
    engine: Engine,
    pixels: Pixels,
    targets: Indices,
    setting: Setting = DECISIVE,
    progress: CountFn | None = None,
) -> PerturbedSet:
    """Make a perturbed set of pixels, uint8 of shape (N, H, W, 3)."""
    images = normalized(engine, pixels)
    on_device = torch.from_numpy(targets).to(images.device)
    return PerturbedSet(predict_fn(engine), images, on_device, setting, progress)


def normalized(engine: Engine, pixels: Pixels) -> Tensor:
    """Images as the network takes them, on its device."""
    card = engine.card
    return normalize(torch.from_numpy(pixels).to(engine.device), card.mean, card.std)


def predict_fn(engine: Engine) -> PredictFn:
    """Logits of normalized images, with all the threads that this process may use."""

    def predict(images: Tensor) -> Tensor:
        if engine.device.type == "cpu":
            torch.set_num_threads(usable_threads())  # the engine sets those of its own batches
        return engine.explainer.predict(images)

    return predict


def _digest(order: Tensor) -> bytes:
    return hashlib.blake2b(order.numpy().tobytes(), digest_size=16).digest()
