"""Objects cut out of their images, and pasted on the backgrounds of others.

After Xiao et al. 2021, "Noise or signal: the role of image backgrounds in object recognition",
arXiv:2006.09994, whose data sets are made in the same way from ImageNet.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from service.evidence.fills import FILLS
from training.claims.masks import dilate

MARGIN = 2  # pixels beyond a mask that are hidden with it: masks miss legs, wings and shadows
_AT_ONCE = 250


@dataclass(frozen=True, eq=False)
class Cutouts:
    """Images as objects and backgrounds.

    Attributes
    ----------
    images : Tensor
        Normalized, shape (N, C, H, W).
    masks : Tensor
        The objects, bool of shape (N, H, W).
    """

    images: Tensor
    masks: Tensor

    @cached_property
    def background(self) -> Tensor:
        """The images without their objects, which are imputed from what surrounds them."""
        return self.background_beyond(MARGIN)

    def background_beyond(self, margin: int) -> Tensor:
        """The same with another margin around the masks."""
        return self._without(self.images, self.grown(margin))

    def grown(self, margin: int) -> Tensor:
        """The masks, larger by so many pixels in every direction."""
        return torch.from_numpy(dilate(self.masks.numpy(), margin)) if margin else self.masks

    def pasted(self, chosen: Tensor) -> Tensor:
        """Each object on the background of another image, whose own object is imputed.

        Parameters
        ----------
        chosen : Tensor
            Index of the image that gives the background, int64 of shape (N,).
        """
        return torch.where(self.masks[:, None], self.images, self.background[chosen])

    def outlines(self, chosen: Tensor, margin: int = MARGIN) -> Tensor:
        """The background of another image, without the pixels of either object.

        What is left of an image's object is the outline of the hole, which is imputed like that in
        its own background: a control for what the hole itself gives away.
        """
        grown = self.grown(margin)
        return self._without(self.images[chosen], grown | grown[chosen])

    @staticmethod
    def _without(images: Tensor, hidden: Tensor) -> Tensor:
        fill, parts = FILLS["linear"], zip(images.split(_AT_ONCE), hidden.split(_AT_ONCE))  # noqa: B905
        return torch.cat([fill(*part, torch.Generator().manual_seed(0)) for part in parts])
