"""Seeds of images: random numbers of an image's own, whatever batch it is in."""

from __future__ import annotations

import zlib

from torch import Tensor


def image_seeds(images: Tensor, seed: int = 0) -> list[int]:
    """A seed for each image, made of its bytes and of `seed`."""
    rows = images.detach().cpu().contiguous().numpy()
    return [zlib.crc32(row.tobytes(), seed) for row in rows]
