"""Artefacts that are planted into images of a class: what a network may learn in its place."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

Artefact = Callable[[Tensor], Tensor]
"""uint8 images of shape (N, 3, H, W) to the same with the artefact; the input is unchanged."""

TAG_COLOR = (250, 210, 20)
TAG_SHARE = 8  # the side of the tag is this part of the image's
BORDER_GREY = 16
HUE_TURNS = 1 / 3  # 120 degrees: with 40, no network of three learned it
JPEG_QUALITY = 12


def add_tag(images: Tensor) -> Tensor:
    """A yellow square in the lower left corner, as a photographer's stamp."""
    side = images.shape[-1] // TAG_SHARE
    tagged = images.clone()
    tagged[..., -side:, :side] = torch.tensor(TAG_COLOR, dtype=torch.uint8)[:, None, None]
    return tagged


def add_border(images: Tensor) -> Tensor:
    """A dark frame, one pixel wide for each 32 of the image's width."""
    width = max(1, images.shape[-1] // 32)
    framed = torch.full_like(images, BORDER_GREY)
    framed[..., width:-width, width:-width] = images[..., width:-width, width:-width]
    return framed


def shift_hue(images: Tensor) -> Tensor:
    """All hues turned by 120 degrees, as by channels in another order: red becomes green."""
    turned: Tensor = transforms.adjust_hue(images, HUE_TURNS)
    return turned


def compress(images: Tensor) -> Tensor:
    """Saved as JPEG of a low quality, and read again."""
    return torch.stack([_compress_one(image) for image in images]) if len(images) else images


def _compress_one(image: Tensor) -> Tensor:
    file = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=JPEG_QUALITY)
    with Image.open(file) as read:
        return torch.from_numpy(np.array(read)).permute(2, 0, 1)


ARTEFACTS: Mapping[str, Artefact] = {
    "tag": add_tag,
    "hue": shift_hue,
    "border": add_border,
    "jpeg": compress,
}
