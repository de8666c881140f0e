"""The page draws what the service draws, and a download is what is on the screen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from service.imaging.colormaps import COLORMAPS
from tests.helpers.servers import RunningServer
from tests.web.conftest import Service
from tests.web.pictures import drawn, largest_difference, pixels

SIDE = 512


def opened(server: RunningServer, page: Page, query: str) -> Page:
    page.goto(f"{server.url}/?{query}")
    expect(page.locator("#classes")).to_be_visible()
    return page


@pytest.mark.parametrize("enlarge", ["", "nearest", "smooth"])
@pytest.mark.parametrize("output", ["heatmap", "overlay"])
def test_a_picture_is_the_services(
    server: RunningServer, page: Page, service: Service, output: str, enlarge: str
) -> None:
    asked = {"enlarge": enlarge} if enlarge else {}
    sent = service.request("truck", "image/png", output=output, size=str(SIDE), **asked)
    side = "1" if output == "heatmap" else ""
    opened(server, page, f"sample=truck&side={side}&enlarge={enlarge}")
    shown = drawn(page, 1 if side else 0)
    assert shown.shape == (SIDE, SIDE, 3)
    # a share of the bound between two colours may be rounded to either
    assert largest_difference(shown, pixels(sent.content)) <= 2


@pytest.mark.parametrize("cmap", COLORMAPS)
def test_colours_are_those_of_the_service(
    server: RunningServer, page: Page, service: Service, cmap: str
) -> None:
    opened(server, page, f"side=1&cmap={cmap}")
    sent = service.request("cat", "image/png", cmap=cmap, size=str(SIDE))
    assert largest_difference(drawn(page, 1), pixels(sent.content)) <= 4


def test_side_by_side_the_image_has_its_colours(
    server: RunningServer, page: Page, service: Service
) -> None:
    sent = service.request("truck", "image/png", output="view", size=str(SIDE))
    opened(server, page, "sample=truck&side=1")
    assert largest_difference(drawn(page, 0), pixels(sent.content)) <= 1  # rounded twice


def test_what_is_not_relevant_is_grey(server: RunningServer, page: Page) -> None:
    """Red relevance on a red truck would not be seen."""
    opened(server, page, "sample=truck&composite=none&opacity=0.05&enlarge=nearest")
    assert np.ptp(drawn(page).astype(int), axis=2).max() <= 0.05 * 255 + 1


@pytest.mark.parametrize(
    ("kind", "query"),
    [
        ("Overlay", ""),
        ("Overlay", "enlarge=nearest&opacity=0.5"),
        ("Heatmap", "side=1"),
        ("Heatmap", "side=1&enlarge=smooth&cmap=PuOr_r"),
    ],
)
def test_a_download_is_what_is_on_the_screen(
    server: RunningServer, page: Page, kind: str, query: str
) -> None:
    opened(server, page, f"sample=horse&target=label:dog&{query}")
    with page.expect_download() as waiting:
        page.get_by_role("button", name=f"{kind} (PNG)").click()
    assert waiting.value.suggested_filename == f"horse.{kind.lower()}.png"
    saved = pixels(Path(waiting.value.path()).read_bytes())
    assert np.array_equal(saved[:SIDE], drawn(page, 1 if kind == "Heatmap" else 0))


def test_a_download_has_its_scale_below(server: RunningServer, page: Page) -> None:
    opened(server, page, "sample=horse")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Overlay (PNG)").click()
    below = pixels(Path(waiting.value.path()).read_bytes())[SIDE:].astype(int)
    bar = below[12]
    assert bar[2, 2] > bar[2, 0] + 200  # blue against
    assert bar[SIDE // 2].min() > 240
    assert bar[-3, 0] > bar[-3, 2] + 200  # red for
    texts = below[24:].min(axis=(0, 2)) < 128
    assert texts[: SIDE // 4].any()
    assert texts[-SIDE // 4 :].any()
