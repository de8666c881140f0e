"""The executor: small work runs inline, large work on a few threads."""

from __future__ import annotations

import asyncio
import io
import threading
from typing import Any

import numpy as np
import pytest
from PIL import Image

from service.api.decoder import is_quick, is_small_picture
from service.api.executor import Executor
from service.api.request.image import picture_spec
from service.api.request.options import ExplainOptions, parse_options
from service.api.request.resolved import resolve_explain
from service.api.response.explanation import ExplanationRenderer
from service.errors import DeadlineExceeded, NotAnImage, QueueFull
from service.imaging.decode import Decoded, EncodedImage
from service.imaging.fit import fit_image
from service.imaging.pictures import PictureSpec
from service.models.card import ModelCard
from service.runtime.deadline import Deadline
from service.runtime.jobs import Attribution, Explanation
from tests.helpers.conditions import wait_until

LIMIT_S = 10.0
SPEC = PictureSpec((32, 32), "crop", (0, 0, 0))


def picture(side: int, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side)).save(buffer, kind)
    return buffer.getvalue()


def test_small_work_runs_inline_and_large_work_on_a_thread() -> None:
    async def scenario() -> list[int]:
        executor, soon = Executor(), Deadline(LIMIT_S)
        return [await executor.run(small, soon, threading.get_ident) for small in (True, False)]

    at_once, on_thread = asyncio.run(scenario())
    assert at_once == threading.get_ident() != on_thread


def test_large_work_runs_on_a_bounded_number_of_threads() -> None:
    started: list[int] = []
    gate = threading.Event()

    def work() -> None:
        started.append(threading.get_ident())
        gate.wait(LIMIT_S)

    async def scenario() -> None:
        executor = Executor(n_threads=2)
        calls = [
            asyncio.create_task(executor.run(False, Deadline(LIMIT_S), work)) for _ in range(10)
        ]
        await asyncio.to_thread(wait_until, lambda: (executor.n_waiting, len(started)) == (8, 2))
        gate.set()
        await asyncio.gather(*calls)

    asyncio.run(asyncio.wait_for(scenario(), LIMIT_S))
    assert len(started) == 10


def test_waiting_for_a_thread_ends_at_the_deadline() -> None:
    gate, has_begun, n_begun = threading.Event(), threading.Event(), 0

    def work() -> None:
        nonlocal n_begun
        n_begun += 1
        has_begun.set()
        gate.wait(LIMIT_S)

    async def scenario() -> None:
        executor = Executor(n_threads=1)
        first = asyncio.create_task(executor.run(False, Deadline(LIMIT_S), work))
        await asyncio.to_thread(has_begun.wait, LIMIT_S)
        with pytest.raises(DeadlineExceeded, match="no result within"):
            await executor.run(False, Deadline(0.05), work)
        gate.set()
        await first

    asyncio.run(asyncio.wait_for(scenario(), LIMIT_S))
    assert n_begun == 1


def test_a_running_call_keeps_its_thread_when_it_is_cancelled() -> None:
    gate, n_running, peak = threading.Event(), 0, 0

    def work() -> None:
        nonlocal n_running, peak
        n_running += 1
        peak = max(peak, n_running)
        gate.wait(LIMIT_S)
        n_running -= 1

    async def scenario() -> None:
        executor = Executor(n_threads=2)
        for _ in range(5):
            with pytest.raises(DeadlineExceeded):
                await executor.run(False, Deadline(0.05), work)
        gate.set()
        await executor.run(False, Deadline(LIMIT_S), work)

    asyncio.run(asyncio.wait_for(scenario(), LIMIT_S))
    assert peak == 2


def test_calls_beyond_max_waiting_are_refused() -> None:
    gate = threading.Event()

    async def scenario() -> None:
        executor = Executor(n_threads=1, max_waiting=2)
        work = [
            asyncio.create_task(executor.run(False, Deadline(LIMIT_S), gate.wait, LIMIT_S))
            for _ in range(3)
        ]
        await asyncio.to_thread(wait_until, lambda: executor.n_waiting == 2)
        with pytest.raises(QueueFull) as refused:
            await executor.run(False, Deadline(LIMIT_S), gate.wait, LIMIT_S)
        assert refused.value.headers["Retry-After"] == "1"
        gate.set()
        await asyncio.gather(*work)

    asyncio.run(asyncio.wait_for(scenario(), LIMIT_S))


@pytest.mark.parametrize("small", [True, False])
def test_exceptions_of_the_work_are_raised(small: bool) -> None:
    async def scenario() -> None:
        await Executor().run(small, Deadline(LIMIT_S), int, "no number")

    with pytest.raises(ValueError, match="invalid literal"):
        asyncio.run(scenario())


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_pixels_are_counted_without_decoding(kind: str) -> None:
    assert EncodedImage(picture(30, kind)).header.n_pixels == 900


@pytest.mark.parametrize(
    ("content", "small"),
    [
        (picture(32), True),
        (picture(128), True),
        (picture(129), False),
        (picture(5000), False),  # few bytes, many pixels
        (picture(16) + b"\0" * 200_000, False),
    ],
    ids=["32", "128", "129", "bomb", "padded"],
)
def test_an_image_is_small_by_its_bytes_and_its_pixels(content: bytes, small: bool) -> None:
    header = EncodedImage(content).header
    assert is_small_picture(header, len(content), SPEC) is small


@pytest.mark.parametrize("kind", ["TIFF", "AVIF"])
def test_images_whose_cost_is_not_known_are_not_quick(kind: str) -> None:
    content = picture(16, kind)
    assert not is_quick(EncodedImage(content).header, len(content))


def test_a_compressed_text_is_not_quick() -> None:
    content = picture(16).replace(b"IDAT", b"zTXt")  # may be expanded to megabytes
    assert not is_quick(EncodedImage(content).header, len(content))


@pytest.mark.parametrize("content", [b"no image", b""], ids=["text", "empty"])
def test_a_file_that_is_no_image_is_refused(content: bytes) -> None:
    with pytest.raises(NotAnImage):
        _ = EncodedImage(content).header


def test_a_picture_with_an_overlay_is_not_small(card: ModelCard) -> None:
    for output, small in (("heatmap", True), ("heatmap,overlay", False), ("relevance", True)):
        options = ExplainOptions(output=output)  # type: ignore[arg-type]
        header = EncodedImage(picture(32)).header
        assert is_small_picture(header, 100, picture_spec(options, card)) is small


@pytest.mark.parametrize(
    ("asked", "small"),
    [
        ({}, True),
        ({"enlarge": "nearest", "overlay_style": "contours"}, True),  # of an overlay, if any
        ({"size": 512}, False),
        ({"enlarge": "smooth"}, False),
        ({"color_bar": True}, False),
        ({"output": "overlay"}, False),
        ({"targets": ["cat", "dog"]}, False),
    ],
    ids=str,
)
def test_a_response_is_small_by_what_it_draws(
    card: ModelCard, asked: dict[str, Any], small: bool
) -> None:
    resolved = resolve_explain(parse_options(ExplainOptions, asked, {card.name: card}), card)
    image = fit_image(Decoded.whole(Image.new("RGB", (32, 32))), card.input_size, "crop", (0, 0, 0))
    one = Attribution(0, np.zeros((3, 32, 32), np.float32), 1.0, None)
    logits = np.zeros(len(card.labels), np.float32)
    explanation = Explanation(logits, (one,) * len(resolved.targets), "logit", "twin", ())
    assert ExplanationRenderer(resolved, explanation, image).is_small is small


def test_pixels_are_counted_from_the_header_alone() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "JPEG")
    assert EncodedImage(buffer.getvalue()[:1000]).header.n_pixels == 64 * 64
