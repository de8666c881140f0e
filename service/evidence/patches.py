"""The patches of an image: squares of pixels that are hidden together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class PatchGrid:
    """An image cut into squares, row by row from the top left.

    Where `side` does not divide the image, the last row and column of patches are cut there.

    Attributes
    ----------
    height, width : int
        Of the image, in pixels.
    side : int
        Of a patch, in pixels.
    """

    height: int
    width: int
    side: int

    def __post_init__(self) -> None:
        if min(self.height, self.width, self.side) < 1:
            raise ValueError(f"sides have to be at least 1: {self}")

    @property
    def shape(self) -> tuple[int, int]:
        """Patches per column and per row."""
        return -(-self.height // self.side), -(-self.width // self.side)

    @property
    def n_patches(self) -> int:
        """Number of patches."""
        rows, columns = self.shape
        return rows * columns

    @cached_property
    def index(self) -> Tensor:
        """The patch of each pixel, int64 of shape (H, W)."""
        row = torch.arange(self.height) // self.side
        column = torch.arange(self.width) // self.side
        return row[:, None] * self.shape[1] + column

    @cached_property
    def n_pixels(self) -> Tensor:
        """Pixels of each patch, int64 of shape (P,)."""
        return torch.bincount(self.index.flatten(), minlength=self.n_patches)

    def sums(self, maps: Tensor) -> Tensor:
        """Sum maps of shape (N, H, W) over each patch: float64 of shape (N, P).

        Double precision, so that patches of equal pixels are equal.
        """
        self._check(maps)
        sums = maps.new_zeros(len(maps), self.n_patches, dtype=torch.float64)
        return sums.index_add_(1, self.index.flatten().to(maps.device), maps.flatten(1).double())

    def means(self, maps: Tensor) -> Tensor:
        """Mean of maps of shape (N, H, W) over each patch: float64 of shape (N, P)."""
        return self.sums(maps) / self.n_pixels.to(maps.device)

    def ranks(self, order: Tensor) -> Tensor:
        """Position of each pixel's patch in an order of shape (N, P): int64 of shape (N, H, W)."""
        if order.shape[1:] != (self.n_patches,):
            raise ValueError(f"an order of {self.n_patches} patches has not {order.shape[1:]}")
        ranks = torch.empty_like(order)
        positions = torch.arange(self.n_patches, device=order.device).expand_as(order)
        ranks.scatter_(1, order, positions)
        return ranks[:, self.index.to(order.device)]

    def hidden(self, order: Tensor, n_hidden: int) -> Tensor:
        """Mask of the first `n_hidden` patches of each order: bool of shape (N, H, W).

        Parameters
        ----------
        order : Tensor
            Patches in the order in which they are hidden, int64 of shape (N, P).
        n_hidden : int
            From 0 to P.
        """
        if not 0 <= n_hidden <= self.n_patches:
            raise ValueError(f"{n_hidden} of {self.n_patches} patches cannot be hidden")
        return self.ranks(order) < n_hidden

    def _check(self, maps: Tensor) -> None:
        if maps.shape[1:] != (self.height, self.width):
            raise ValueError(f"maps of {tuple(maps.shape)} do not fit {self}")
