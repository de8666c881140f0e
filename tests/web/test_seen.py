"""The page shows an image as the service saw it, where the browser turns or colours it otherwise.

Sources of the files in `images/`: a horse on its side, whose orientation Chromium does not read,
and an image whose channels are stored as green, blue, red, as its colour profile says.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page, expect

from tests.helpers.servers import RunningServer
from tests.web.pictures import drawn, largest_difference, pixels

IMAGES = Path(__file__).parent / "images"
SIDE = 512
LYING = ["exif_webp_6.webp", "exif_png_after_idat.png", "exif_png_rawprofile.png"]
COLOURED = ["icc_gbr.png", "icc_gbr.tiff"]
THUMBNAIL = """async () => {
  const picture = document.querySelector(".thumbnail");
  await picture.decode();
  const canvas = new OffscreenCanvas(picture.naturalWidth, picture.naturalHeight);
  canvas.getContext("2d").drawImage(picture, 0, 0);
  return [...new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer())];
}"""
ROUNDING = 3  # LittleCMS is right to 1, and so is each way of resizing


def raw(name: str) -> Image.Image:
    """The pixels as they are stored."""
    with Image.open(IMAGES / name) as image:
        return image.convert("RGB")


def right(name: str) -> Image.Image:
    """The image that people should see."""
    if name in LYING:
        return raw(name).transpose(Image.Transpose.ROTATE_270)
    return Image.fromarray(np.ascontiguousarray(np.asarray(raw(name))[..., [2, 0, 1]]))


def square(image: Image.Image) -> NDArray[np.uint8]:
    """Its centre, as large as the page's pictures."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    size, box = (SIDE, SIDE), (left, top, left + side, top + side)
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR, box))


def upload(server: RunningServer, page: Page, name: str) -> None:
    page.goto(f"{server.url}/?side=1")
    expect(page.locator("#classes")).to_be_visible()
    page.set_input_files("#file", IMAGES / name)
    expect(page.locator("#note")).to_contain_text(name)
    expect(page.locator(".thumbnail")).to_be_visible()
    expect(page.locator("#view h2").first).not_to_have_text("Why “cat”?")  # the first sample


@pytest.mark.parametrize("name", [*LYING, *COLOURED])
def test_the_image_beside_the_heatmap_is_upright_and_has_its_colours(
    server: RunningServer, page: Page, name: str
) -> None:
    assert largest_difference(square(raw(name)), square(right(name))) > 50
    upload(server, page, name)
    assert largest_difference(drawn(page, 0), square(right(name))) <= ROUNDING


@pytest.mark.parametrize("name", [*LYING, *COLOURED])
def test_the_whole_image_is_upright_and_has_its_colours(
    server: RunningServer, page: Page, name: str
) -> None:
    upload(server, page, name)
    shown = pixels(bytes(page.evaluate(THUMBNAIL)))
    expected = right(name)
    size = (320, round(320 * expected.height / expected.width))
    resized = np.asarray(expected.resize(size, Image.Resampling.BILINEAR))
    assert largest_difference(shown, resized) <= ROUNDING
