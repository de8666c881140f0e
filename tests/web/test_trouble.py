"""What the page shows when something fails, and how it recovers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from service.settings import PREFIX
from tests.helpers.servers import COMMAND, RunningServer, running_server, started_server
from tests.web.conftest import ROOT

KEY = "a-key-that-is-long-enough-to-be-one"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that lets in those with the key only."""
    folder = tmp_path_factory.mktemp("guarded")
    with running_server(folder, {f"{PREFIX}API_KEYS": KEY}) as running:
        yield running


def expect_explained(page: Page, label: str) -> None:
    expect(page.locator("#view h2").first).to_have_text(f"Why “{label}”?", timeout=30_000)


def test_a_file_that_is_no_image_is_refused_in_the_words_of_the_service(
    server: RunningServer, lenient_page: Page, tmp_path: Path
) -> None:
    page = lenient_page
    file = tmp_path / "letter.jpg"
    file.write_bytes(b"Dear network, what do you see?")
    page.goto(server.url)
    expect_explained(page, "cat")
    page.set_input_files("#file", file)
    detail = httpx.post(
        f"{server.url}/explain",
        content=file.read_bytes(),
        headers={"Content-Type": "application/octet-stream"},
    ).json()["detail"]
    expect(page.locator(".problem")).to_have_text(detail)
    expect(page.locator("#view")).to_be_empty()
    page.click("[data-sample=horse]")
    expect_explained(page, "horse")
    expect(page.locator(".problem")).to_have_count(0)


def test_a_wrong_parameter_is_named(server: RunningServer, lenient_page: Page) -> None:
    lenient_page.goto(f"{server.url}/?epsilon=-1")
    expect(lenient_page.locator(".problem")).to_contain_text("epsilon:")
    lenient_page.get_by_label("epsilon", exact=True).fill("0.25")
    lenient_page.keyboard.press("Tab")
    expect_explained(lenient_page, "cat")


def test_a_slow_answer_has_a_spinner_after_a_moment(server: RunningServer, page: Page) -> None:
    page.goto(server.url)
    expect_explained(page, "cat")

    def answer_once_the_spinner_is_seen(route: Route) -> None:
        expect(page.locator(".busy", has_text="Computing")).to_be_visible()
        route.continue_()

    page.route("**/explain?*", answer_once_the_spinner_is_seen)
    page.click("[data-sample=horse]")
    expect_explained(page, "horse")
    expect(page.locator(".spinner")).to_have_count(0)


def use_up(url: str, image: bytes) -> None:
    """Ask until the limit is reached, and stays so for long enough to see it on the page."""
    headers = {"Content-Type": "image/jpeg", "X-API-Key": KEY}
    wait_s = 0
    while wait_s < 5:
        answer = httpx.post(f"{url}/predict", content=image, headers=headers)
        wait_s = int(answer.headers.get("retry-after", 0))
        time.sleep(0.1)


def test_a_rate_limited_page_waits_and_retries(
    lenient_page: Page, tmp_path: Path, cat: Path
) -> None:
    page = lenient_page
    settings = {f"{PREFIX}RATE_LIMIT": "2 per 15 second", f"{PREFIX}API_KEYS": KEY}
    with running_server(tmp_path, settings) as limited:
        page.goto(limited.url)
        page.get_by_label("API key").fill(KEY)
        page.get_by_role("button", name="Use this key").click()
        expect_explained(page, "cat")
        use_up(limited.url, cat.read_bytes())
        page.locator("#classes button", has_text="bird").click()
        expect(page.locator(".waiting", has_text="Trying again")).to_be_visible()
        expect_explained(page, "bird")
        expect(page.locator(".waiting")).to_have_count(0)


def test_the_page_reconnects_to_a_restarted_server(lenient_page: Page, tmp_path: Path) -> None:
    page = lenient_page
    with running_server(tmp_path) as first:
        page.goto(first.url)
        expect_explained(page, "cat")
    port = first.url.rpartition(":")[2]
    page.locator("#classes button", has_text="dog").click()
    expect(page.locator(".waiting")).to_contain_text("connection failed")
    with running_server(tmp_path, command=(*COMMAND[:-1], port)):
        expect_explained(page, "dog")
        expect(page.locator(".waiting")).to_have_count(0)


def test_a_new_view_never_shows_the_old_ones_content(lenient_page: Page, tmp_path: Path) -> None:
    page = lenient_page
    with running_server(tmp_path) as stopping:
        page.goto(f"{stopping.url}/?view=compare")
        expect(page.locator(".column .map canvas")).to_have_count(4)
    page.get_by_role("link", name="Layers").click()
    expect(page.locator(".waiting")).to_contain_text("connection failed")
    expect(page.locator("#view")).to_be_empty()
    expect(page.locator(".spinner:visible")).to_have_count(1)
    page.goto("about:blank")


def test_a_failed_start_stays_visible_whatever_is_chosen(
    server: RunningServer, lenient_page: Page
) -> None:
    page = lenient_page
    broken = {"title": "Failed", "detail": "something broke", "status": 500}
    page.route("**/models", lambda route: route.fulfill(status=500, json=broken))
    page.goto(server.url)
    expect(page.locator(".problem")).to_contain_text("something broke")
    page.set_input_files("#file", ROOT / "docs" / "horse.jpg")
    expect(page.locator("#note")).to_contain_text("horse.jpg")
    expect(page.locator(".problem")).to_contain_text("something broke")
    page.unroute("**/models")
    page.get_by_role("button", name="Try again").click()
    page.click("[data-sample=horse]")
    expect_explained(page, "horse")
    expect(page.locator(".problem")).to_have_count(0)


@pytest.mark.parametrize(
    ("view", "place"), [("layers", "#layers h3"), ("model", ".card tr th")], ids=str
)
def test_a_page_opened_while_the_service_starts_shows_its_layers(
    lenient_page: Page, tmp_path: Path, view: str, place: str
) -> None:
    with started_server(tmp_path) as starting:
        lenient_page.goto(f"{starting.url}/?view={view}")
        expect(lenient_page.locator("#status p").first).to_be_visible()
        expect(lenient_page.locator(place, has_text="features.5")).to_be_visible(timeout=60_000)
        lenient_page.goto("about:blank")


@pytest.mark.parametrize("is_right_at_once", [True, False])
def test_the_page_asks_for_an_api_key(
    lenient_page: Page, guarded: RunningServer, is_right_at_once: bool
) -> None:
    page = lenient_page
    page.goto(guarded.url)
    if not is_right_at_once:
        page.get_by_label("API key").fill("another")
        page.get_by_role("button", name="Use this key").click()
        expect(page.locator(".problem")).to_contain_text("not valid")
    page.get_by_label("API key").fill(KEY)
    page.get_by_role("button", name="Use this key").click()
    expect_explained(page, "cat")


def test_an_image_that_the_browser_cannot_show_is_explained(
    server: RunningServer, page: Page, tmp_path: Path
) -> None:
    from PIL import Image

    Image.open(ROOT / "docs" / "horse.jpg").save(tmp_path / "horse.tiff")
    page.goto(server.url)
    expect_explained(page, "cat")
    page.set_input_files("#file", tmp_path / "horse.tiff")
    expect_explained(page, "horse")


def test_a_failed_download_is_reported_beside_its_button(
    server: RunningServer, lenient_page: Page
) -> None:
    page = lenient_page
    page.goto(server.url)
    expect_explained(page, "cat")
    problem = {"title": "Refused", "detail": "not today", "status": 422}
    page.route("**/explain?*", lambda route: route.fulfill(status=422, json=problem))
    page.get_by_role("button", name="Relevance (.npy)").click()
    expect(page.locator("#download-problem")).to_have_text("not today")
    page.unroute("**/explain?*")
    with page.expect_download():
        page.get_by_role("button", name="Relevance (.npy)").click()
    expect(page.locator("#download-problem")).to_be_hidden()


def test_a_failed_request_is_retried_on_demand(server: RunningServer, lenient_page: Page) -> None:
    page = lenient_page
    broken = {"title": "Failed", "detail": "something broke", "status": 500}
    page.route("**/explain?*", lambda route: route.fulfill(status=500, json=broken))
    page.goto(server.url)
    expect(page.locator(".problem")).to_contain_text("something broke")
    page.unroute("**/explain?*")
    page.get_by_role("button", name="Try again").click()
    expect_explained(page, "cat")


def test_an_invalid_key_is_not_sent(lenient_page: Page, guarded: RunningServer) -> None:
    page = lenient_page
    page.goto(guarded.url)
    page.get_by_label("API key").fill("ключ")
    page.get_by_role("button", name="Use this key").click()
    expect(page.get_by_label("API key")).to_be_visible()
    page.get_by_label("API key").fill(KEY)
    page.get_by_role("button", name="Use this key").click()
    expect_explained(page, "cat")
    page.get_by_role("button", name="Copy as curl").click()
    expect(page.locator("#code")).to_contain_text('-H "X-API-Key: $LRPSERVE_API_KEY"')
    assert KEY not in page.locator("#code").inner_text()
