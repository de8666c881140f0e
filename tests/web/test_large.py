"""Photos that are larger than the service accepts."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, Request, expect

from service.settings import PREFIX
from tests.helpers.servers import RunningServer, running_server
from tests.web.conftest import SAMPLES

ORIENTATION, LIES_ON_ITS_LEFT = 274, 6
MAX_BYTES, MAX_PIXELS = 400_000, 3_000_000


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that takes small images only."""
    limits = {f"{PREFIX}MAX_BODY_BYTES": str(MAX_BYTES), f"{PREFIX}MAX_PIXELS": str(MAX_PIXELS)}
    with running_server(tmp_path_factory.mktemp("small"), limits) as running:
        yield running


def save_photo(path: Path, size: tuple[int, int], *, is_noisy: bool) -> Path:
    """A horse as a camera has it that was held on its side; noise makes the file large."""
    photo = np.asarray(Image.open(SAMPLES / "horse.jpg").resize(size, Image.Resampling.BICUBIC))
    noise = np.random.default_rng(0).integers(-16, 17, photo.shape) if is_noisy else 0
    lying = Image.fromarray(np.clip(photo + noise, 0, 255).astype(np.uint8)).rotate(90, expand=True)
    exif = Image.Exif()
    exif[ORIENTATION] = LIES_ON_ITS_LEFT
    lying.save(path, exif=exif, quality=95)
    return path


def take(page: Page, photo: Path) -> int:
    """Choose a photo; gives the number of bytes that are sent, once."""
    expect(page.locator("#classes")).to_be_visible()
    sent: list[Request] = []
    page.on("request", lambda request: sent.append(request) if "top_k" in request.url else None)
    page.set_input_files("#file", photo)
    expect(page.locator("#view h2").first).to_have_text("Why “horse”?")
    (request,) = sent
    return int(request.all_headers()["content-length"])


def saved(page: Page) -> bytes:
    """The photo that was made smaller."""
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the smaller image").click()
    assert download.value.suggested_filename == "photo.small.jpg"
    return Path(download.value.path()).read_bytes()


@pytest.mark.parametrize(
    ("size", "is_noisy", "expected"),
    [((900, 1200), True, (900, 1200)), ((1800, 2400), False, (1500, 2000))],
    ids=["bytes", "pixels"],
)
def test_a_photo_that_is_too_large_is_made_smaller(
    small: RunningServer,
    page: Page,
    tmp_path: Path,
    size: tuple[int, int],
    is_noisy: bool,
    expected: tuple[int, int],
) -> None:
    photo = save_photo(tmp_path / "photo.jpg", size, is_noisy=is_noisy)
    assert (photo.stat().st_size > MAX_BYTES) is is_noisy
    page.goto(small.url)
    n_sent = take(page, photo)
    content = saved(page)
    assert len(content) == n_sent <= MAX_BYTES
    made = Image.open(io.BytesIO(content))
    assert made.format == "JPEG"
    assert ORIENTATION not in made.getexif()  # it stands upright
    assert made.width * made.height <= MAX_PIXELS
    assert made.size == pytest.approx(expected, abs=1)
    told = page.locator("#smaller")
    expect(told).to_contain_text(f"made smaller here: {made.width} × {made.height} pixels")
    page.get_by_role("button", name="Copy as curl").click()
    expect(page.locator("#code")).to_contain_text("@photo.small.jpg")


def test_other_photos_are_sent_as_they_are(
    small: RunningServer, page: Page, tmp_path: Path
) -> None:
    photo = save_photo(tmp_path / "photo.jpg", (300, 400), is_noisy=True)
    page.goto(small.url)
    assert take(page, photo) == photo.stat().st_size
    expect(page.locator("#smaller")).to_have_count(0)
