"""Sound JPEGs of each kind are read, though damage in them is looked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from service.errors import NotAnImage, UnsupportedMediaType
from service.imaging.decode import decode
from service.imaging.jpeg import verify_jpeg
from tests.helpers.pictures import encode, noise, smooth_photo
from tests.imaging.decoded import MAX_PIXELS, pixels

SAMPLES = Path(__file__).parents[1] / "samples"
KINDS: dict[str, dict[str, Any]] = {
    "progressive": {"progressive": True},
    "optimized": {"optimize": True},
    "progressive, optimized": {"progressive": True, "optimize": True},
    "restarts": {"restart_marker_blocks": 1},
    "restarts, progressive": {"restart_marker_blocks": 2, "progressive": True},
    "restarts in rows": {"restart_marker_rows": 1},
    "4:4:4": {"subsampling": "4:4:4"},
    "coarse": {"quality": 1},
    "fine": {"quality": 100},
    "comment": {"comment": b"\xff\xd9 " + bytes(1000)},
}
PICTURES = {
    "photo": smooth_photo(120, 200),
    "noise": Image.fromarray(noise(120, 200, 3)),
    "black": Image.new("RGB", (600, 600)),
    "white": Image.new("L", (600, 600), 255),
    "inks": smooth_photo(120, 200).convert("CMYK"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("picture", PICTURES)
def test_sound_jpegs_of_each_kind_are_read(picture: str, kind: str) -> None:
    content = encode(PICTURES[picture], "JPEG", **KINDS[kind])
    assert decode(content, MAX_PIXELS).size == PICTURES[picture].size


@pytest.mark.parametrize("tail", [b"\0" * 1000, b"\xff\xc0", b"\xff\xd8\xff", b"\xff\xd9"])
def test_bytes_after_the_end_are_not_looked_at(tail: bytes) -> None:
    content = encode(smooth_photo(40, 56), "JPEG")
    assert np.array_equal(pixels(content + tail), pixels(content))


def test_the_first_picture_of_several_in_one_file_is_read() -> None:
    content = encode(smooth_photo(40, 56), "MPO", save_all=True, append_images=[noise_image()])
    assert decode(content, MAX_PIXELS).size == (56, 40)


def noise_image() -> Image.Image:
    return Image.fromarray(noise(20, 28, 3))


def test_all_samples_are_read() -> None:
    paths = sorted(SAMPLES.glob("*/*.jpg"))
    assert len(paths) == 200
    assert {pixels(path.read_bytes()).shape for path in paths} == {(32, 32, 3)}


# --- damage


def test_restart_markers_out_of_order_are_damage() -> None:
    content = encode(noise_image(), "JPEG", restart_marker_blocks=1)
    verify_jpeg(content)
    with pytest.raises(NotAnImage, match="damaged"):
        decode(content.replace(b"\xff\xd1", b"\xff\xd3", 1), MAX_PIXELS)


@pytest.mark.parametrize("options", [{}, {"restart_marker_blocks": 1}, {"progressive": True}])
def test_a_jpeg_without_an_end_is_damaged(options: dict[str, Any]) -> None:
    content = encode(noise_image(), "JPEG", **options)
    with pytest.raises(NotAnImage, match="damaged"):
        decode(content[:-2], MAX_PIXELS)


def test_a_header_in_the_middle_of_a_scan_is_damage() -> None:
    content = bytearray(encode(Image.fromarray(noise(64, 64, 3)), "JPEG"))
    content[-200:-198] = b"\xff\xc0"
    with pytest.raises(NotAnImage, match="damaged"):
        decode(bytes(content), MAX_PIXELS)


def test_a_jpeg_of_12_bits_is_named() -> None:
    content = bytearray(encode(smooth_photo(16, 16), "JPEG"))
    content[content.index(b"\xff\xc0") + 4] = 12
    with pytest.raises(UnsupportedMediaType, match="JPEG with 12 bits per channel is not read"):
        decode(bytes(content), MAX_PIXELS)
