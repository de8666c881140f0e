"""Files that cost far more than they weigh are refused by their headers."""

from __future__ import annotations

import time

import pytest
from PIL import Image

from service.api.decoder import is_quick
from service.errors import NotAnImage, OutOfMemory, TooLarge
from service.imaging.decode import EncodedImage, decode
from service.imaging.header import MAX_SIDE
from tests.helpers import hostile_images
from tests.helpers.pictures import encode
from tests.imaging.decoded import MAX_PIXELS


def test_a_side_is_bounded() -> None:
    content = encode(Image.new("L", (1, MAX_SIDE + 1)), "PNG")
    with pytest.raises(TooLarge, match=f"a side may have {MAX_SIDE}"):
        decode(content, MAX_PIXELS)


def test_scans_are_bounded() -> None:
    assert decode(hostile_images.jpeg_of_many_scans(32, 80), MAX_PIXELS).size == (32, 32)
    with pytest.raises(TooLarge, match="more than 100 scans"):
        decode(hostile_images.jpeg_of_many_scans(32, 120), MAX_PIXELS)


def test_segments_are_bounded() -> None:
    with pytest.raises(TooLarge, match="more than 2000 segments"):
        decode(hostile_images.jpeg_of_many_segments(3000), MAX_PIXELS)


def test_bytes_between_segments_are_bounded() -> None:
    assert decode(hostile_images.jpeg_of_many_fill_bytes(1000), MAX_PIXELS).size == (16, 16)
    with pytest.raises(TooLarge, match="between its segments"):
        decode(hostile_images.jpeg_of_many_fill_bytes(100_000), MAX_PIXELS)


def test_sub_blocks_of_a_gif_are_bounded() -> None:
    assert decode(hostile_images.gif_of_many_sub_blocks(1000), MAX_PIXELS).size == (16, 16)
    with pytest.raises(TooLarge, match="too long comments"):
        decode(hostile_images.gif_of_many_sub_blocks(100_000), MAX_PIXELS)


def test_chunks_of_a_png_are_bounded() -> None:
    assert decode(hostile_images.png_of_many_chunks(1000), MAX_PIXELS).size == (16, 16)
    with pytest.raises(TooLarge, match="more than 20000 chunks"):
        decode(hostile_images.png_of_many_chunks(30_000), MAX_PIXELS)


def test_run_lengths_of_a_bmp_are_decoded_where_they_can_be_ended() -> None:
    content = hostile_images.bmp_that_goes_nowhere(10)
    assert not is_quick(EncodedImage(content).header, len(content))


def test_tags_that_overlap_are_damage() -> None:
    with pytest.raises(NotAnImage, match="TIFF"):
        decode(hostile_images.tiff_whose_tags_overlap(10, 1000), MAX_PIXELS)


def test_the_screen_of_a_gif_counts() -> None:
    header = EncodedImage(hostile_images.gif_with_huge_screen()).header
    assert (header.width, header.height) == (65_535, 65_535)


def test_texts_are_expanded_once() -> None:
    seconds = []
    for n in (1, 2000):
        content = hostile_images.png_of_many_texts(n)
        started_at = time.process_time()
        decode(content, MAX_PIXELS)
        seconds.append(time.process_time() - started_at)
    assert seconds[1] < 200 * seconds[0]


def test_out_of_memory_is_not_a_broken_image(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(image: Image.Image) -> None:
        raise MemoryError

    content = encode(Image.new("RGB", (16, 16)), "PNG")
    monkeypatch.setattr(Image.Image, "load", fail)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    with pytest.raises(OutOfMemory, match="fewer pixels"):
        decode(content, MAX_PIXELS)
