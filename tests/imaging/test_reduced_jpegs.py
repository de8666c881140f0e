"""Large JPEGs are decoded at a fraction of their size."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from service.errors import NotAnImage
from service.imaging.decode import EncodedImage
from service.imaging.fit import Fit, fit_image
from tests.helpers.pictures import (
    encode,
    noise,
    smooth_photo,
)
from tests.imaging.decoded import jpeg


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [
        ((1920, 1080), 32, (240, 135)),  # an eighth
        ((1920, 1080), 224, (960, 540)),
        ((1920, 1080), 300, (1920, 1080)),  # a half would be less than twice as many
        ((640, 300), 32, (160, 75)),
        ((64, 64), 32, (64, 64)),
        ((130, 129), 32, (65, 65)),
    ],
)
def test_a_large_jpeg_is_reduced_to_no_less_than_twice_what_is_needed(
    size: tuple[int, int], side: int, expected: tuple[int, int]
) -> None:
    decoded = EncodedImage(jpeg(*size)).decode(10_000_000, side)
    assert decoded.image.size == expected
    assert decoded.original == (size[1], size[0])


@pytest.mark.parametrize("size", [(1920, 1080), (333, 1003), (130, 129)])
@pytest.mark.parametrize("fit", ["crop", "stretch", "pad"])
def test_the_network_sees_the_same_of_a_reduced_jpeg(size: tuple[int, int], fit: Fit) -> None:
    plain = np.asarray(smooth_photo(size[1], size[0])).astype(int)
    grain = noise(size[1], size[0], 3).astype(int) // 4 - 32
    photo = Image.fromarray((plain + grain).clip(0, 255).astype(np.uint8))
    content = encode(photo, "JPEG", quality=90)
    reduced = EncodedImage(content).decode(10_000_000, 32)
    fill, target = (9, 99, 199), (32, 32)
    seen = fit_image(reduced, target, fit, fill)
    full = fit_image(EncodedImage(content).decode(10_000_000), target, fit, fill)
    assert (seen.width, seen.height, seen.box) == (full.width, full.height, full.box)
    distance = np.abs(seen.pixels.astype(int) - full.pixels.astype(int))
    assert distance.mean() < 1
    assert np.percentile(distance, 99) <= 4


@pytest.mark.parametrize("file_format", ["PNG", "WEBP"])
def test_other_formats_are_decoded_whole(file_format: str) -> None:
    content = encode(smooth_photo(300, 400), file_format)
    assert EncodedImage(content).decode(10_000_000, 32).image.size == (400, 300)


def test_a_reduced_jpeg_that_is_truncated_is_broken() -> None:
    content = jpeg(1920, 1080)
    with pytest.raises(NotAnImage, match="truncated"):
        EncodedImage(content[: len(content) // 2]).decode(10_000_000, 32)
