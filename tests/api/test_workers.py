"""Small work is done at once, large work on a few threads, and nothing large on the event loop."""

from __future__ import annotations

import asyncio
import io
import threading

import numpy as np
import pytest
from PIL import Image

from service.api.images import is_small
from service.api.options import ExplainOptions, PredictOptions
from service.api.workers import Workers
from service.imaging.decode import count_pixels

LIMIT_S = 10.0


def picture(side: int, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side)).save(buffer, kind)
    return buffer.getvalue()


def test_small_work_is_done_at_once_and_large_work_on_a_thread() -> None:
    async def scenario() -> list[int]:
        workers = Workers()
        return [await workers.run(is_small, threading.get_ident) for is_small in (True, False)]

    at_once, on_thread = asyncio.run(scenario())
    assert at_once == threading.get_ident() != on_thread


def test_large_work_runs_on_no_more_threads_than_there_are() -> None:
    running, most, lock = 0, 0, threading.Lock()

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.02)
        with lock:
            running -= 1

    async def scenario() -> None:
        workers = Workers(n_threads=2)
        await asyncio.gather(*(workers.run(False, work) for _ in range(10)))

    asyncio.run(asyncio.wait_for(scenario(), LIMIT_S))
    assert most == 2


@pytest.mark.parametrize("small", [True, False])
def test_what_the_work_raises_is_raised(small: bool) -> None:
    async def scenario() -> None:
        await Workers().run(small, int, "no number")

    with pytest.raises(ValueError, match="invalid literal"):
        asyncio.run(scenario())


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_pixels_are_counted_without_decoding(kind: str) -> None:
    assert count_pixels(picture(30, kind)) == 900
    assert count_pixels(picture(30, kind)[: len(picture(30, kind)) // 2]) in (0, 900)


@pytest.mark.parametrize(
    ("content", "small"),
    [
        (picture(32), True),
        (picture(128), True),
        (picture(129), False),
        (picture(5000), False),  # few bytes, many pixels
        (picture(16) + b"\0" * 200_000, False),
        (b"no image", True),  # is refused at once
        (b"", True),
    ],
    ids=["32", "128", "129", "bomb", "padded", "text", "empty"],
)
def test_an_image_is_small_by_its_bytes_and_its_pixels(content: bytes, small: bool) -> None:
    assert is_small(content, PredictOptions()) is small


def test_a_picture_with_an_overlay_is_not_small() -> None:
    for output, small in (("heatmap", True), ("heatmap,overlay", False), ("relevance", True)):
        assert is_small(picture(32), ExplainOptions(output=output)) is small  # type: ignore[arg-type]


def test_no_pixel_of_a_large_picture_is_decoded_to_know_that_it_is() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    assert count_pixels(buffer.getvalue()[:200]) == 64 * 64
