"""A linear model whose perfect explanation is known: its weights times the image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class LinearModel:
    """Two classes: the logit of class 1 is the sum of weights times pixels, that of class 0 is 0.

    The weights are of one sign and of very different sizes, on images without negative values:
    hiding a pixel by zero lowers the logit by exactly its relevance.
    """

    weights: Tensor  # (C, H, W)

    @classmethod
    def of_shape(cls, *shape: int, seed: int = 0) -> LinearModel:
        drawn = torch.rand(shape, generator=torch.Generator().manual_seed(seed))
        return cls(drawn.pow(4) / drawn.pow(4).sum() * 8)

    def __call__(self, images: Tensor) -> Tensor:
        logit = (images * self.weights).sum((1, 2, 3))
        return torch.stack([torch.zeros_like(logit), logit], 1)

    def explain(self, images: Tensor) -> Tensor:
        """The perfect explanation of class 1, shape (N, H, W)."""
        return (images * self.weights).sum(1)


def bright_images(n: int, *shape: int, seed: int = 1) -> Tensor:
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(seed)) + 0.5
