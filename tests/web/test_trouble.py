"""What a visitor sees when something is wrong, and that it passes."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from service.settings import PREFIX
from tests.helpers.servers import COMMAND, RunningServer, running_server, started_server
from tests.web.conftest import ROOT

KEY = "a-key-that-is-long-enough-to-be-one"


def explained(page: Page, label: str) -> None:
    expect(page.locator("#view h2").first).to_have_text(f"Why “{label}”?", timeout=30_000)


def test_a_file_that_is_no_image_is_refused_in_the_words_of_the_service(
    server: RunningServer, page_in_trouble: Page, tmp_path: Path
) -> None:
    page = page_in_trouble
    file = tmp_path / "letter.jpg"
    file.write_bytes(b"Dear network, what do you see?")
    page.goto(server.url)
    explained(page, "cat")
    page.set_input_files("#file", file)
    detail = httpx.post(
        f"{server.url}/explain",
        content=file.read_bytes(),
        headers={"Content-Type": "application/octet-stream"},
    ).json()["detail"]
    expect(page.locator(".problem")).to_have_text(detail)
    expect(page.locator("#view")).to_be_empty()
    page.click("[data-sample=horse]")
    explained(page, "horse")
    expect(page.locator(".problem")).to_have_count(0)


def test_a_wrong_parameter_is_named(server: RunningServer, page_in_trouble: Page) -> None:
    page_in_trouble.goto(f"{server.url}/?epsilon=-1")
    expect(page_in_trouble.locator(".problem")).to_contain_text("epsilon:")
    page_in_trouble.get_by_label("epsilon", exact=True).fill("0.25")
    page_in_trouble.keyboard.press("Tab")
    explained(page_in_trouble, "cat")


def test_a_slow_answer_has_a_spinner_after_a_moment(server: RunningServer, page: Page) -> None:
    """The delay is made here: no honest server is slow on demand."""
    page.goto(server.url)
    explained(page, "cat")

    def delay(route: Route) -> None:
        time.sleep(0.8)
        route.continue_()

    page.route("**/explain?*", delay)
    page.click("[data-sample=horse]")
    expect(page.locator(".spinner")).to_be_visible()
    explained(page, "horse")
    expect(page.locator(".spinner")).to_have_count(0)


def use_up(url: str, image: bytes) -> None:
    """Ask until the limit is reached, and stays so for long enough to see it on the page."""
    headers = {"Content-Type": "image/jpeg", "X-API-Key": KEY}
    wait_s = 0
    while wait_s < 5:
        answer = httpx.post(f"{url}/predict", content=image, headers=headers)
        wait_s = int(answer.headers.get("retry-after", 0))
        time.sleep(0.1)


def test_who_asks_too_often_waits_and_is_served(
    page_in_trouble: Page, tmp_path: Path, cat: Path
) -> None:
    page = page_in_trouble
    settings = {f"{PREFIX}RATE_LIMIT": "2 per 15 second", f"{PREFIX}API_KEYS": KEY}
    with running_server(tmp_path, settings) as limited:
        page.goto(limited.url)
        page.get_by_label("API key").fill(KEY)
        page.get_by_role("button", name="Use this key").click()
        explained(page, "cat")
        use_up(limited.url, cat.read_bytes())
        page.locator("#classes button", has_text="bird").click()
        expect(page.locator(".waiting", has_text="Trying again")).to_be_visible()
        explained(page, "bird")
        expect(page.locator(".waiting")).to_have_count(0)


def test_a_server_that_comes_back_is_found_again(page_in_trouble: Page, tmp_path: Path) -> None:
    page = page_in_trouble
    with running_server(tmp_path) as first:
        page.goto(first.url)
        explained(page, "cat")
    port = first.url.rpartition(":")[2]
    page.locator("#classes button", has_text="dog").click()
    expect(page.locator(".waiting")).to_contain_text("connection failed")
    with running_server(tmp_path, command=(*COMMAND[:-1], port)):
        explained(page, "dog")
        expect(page.locator(".waiting")).to_have_count(0)


def test_until_there_is_an_answer_no_older_one_stands_under_the_new_name(
    page_in_trouble: Page, tmp_path: Path
) -> None:
    page = page_in_trouble
    with running_server(tmp_path) as stopping:
        page.goto(f"{stopping.url}/?view=compare")
        expect(page.locator(".column canvas")).to_have_count(8)  # two make a map
    page.get_by_role("link", name="Layers").click()
    expect(page.locator(".waiting")).to_contain_text("connection failed")
    expect(page.locator("#view")).to_be_empty()
    expect(page.locator(".spinner:visible")).to_have_count(1)
    page.goto("about:blank")


def test_a_page_that_could_not_start_says_so_whatever_is_chosen(
    server: RunningServer, page_in_trouble: Page
) -> None:
    page = page_in_trouble
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
    explained(page, "horse")
    expect(page.locator(".problem")).to_have_count(0)


@pytest.mark.parametrize(
    ("view", "place"), [("layers", "#layers h3"), ("model", ".card tr th")], ids=str
)
def test_a_page_that_is_opened_too_early_shows_its_layers(
    page_in_trouble: Page, tmp_path: Path, view: str, place: str
) -> None:
    with started_server(tmp_path) as starting:
        page_in_trouble.goto(f"{starting.url}/?view={view}")
        expect(page_in_trouble.locator("#status p").first).to_be_visible()
        expect(page_in_trouble.locator(place, has_text="features.5")).to_be_visible(timeout=60_000)
        page_in_trouble.goto("about:blank")


@pytest.mark.parametrize("is_right_at_once", [True, False])
def test_a_key_is_asked_for(page_in_trouble: Page, tmp_path: Path, is_right_at_once: bool) -> None:
    page = page_in_trouble
    with running_server(tmp_path, {f"{PREFIX}API_KEYS": KEY}) as guarded:
        page.goto(guarded.url)
        if not is_right_at_once:
            page.get_by_label("API key").fill("another")
            page.get_by_role("button", name="Use this key").click()
            expect(page.locator(".problem")).to_contain_text("not known")
        page.get_by_label("API key").fill(KEY)
        page.get_by_role("button", name="Use this key").click()
        explained(page, "cat")


def test_what_no_browser_shows_is_explained_all_the_same(
    server: RunningServer, page: Page, tmp_path: Path
) -> None:
    from PIL import Image

    Image.open(ROOT / "docs" / "horse.jpg").save(tmp_path / "horse.tiff")
    page.goto(server.url)
    explained(page, "cat")
    page.set_input_files("#file", tmp_path / "horse.tiff")
    explained(page, "horse")


def test_a_download_that_fails_says_so_beside_its_button(
    server: RunningServer, page_in_trouble: Page
) -> None:
    page = page_in_trouble
    page.goto(server.url)
    explained(page, "cat")
    problem = {"title": "Refused", "detail": "not today", "status": 422}
    page.route("**/explain?*", lambda route: route.fulfill(status=422, json=problem))
    page.get_by_role("button", name="Heatmap (PNG)").click()
    expect(page.locator("#download-problem")).to_have_text("not today")
    page.unroute("**/explain?*")
    with page.expect_download():
        page.get_by_role("button", name="Heatmap (PNG)").click()
    expect(page.locator("#download-problem")).to_be_hidden()


def test_what_failed_is_tried_again_on_demand(server: RunningServer, page_in_trouble: Page) -> None:
    page = page_in_trouble
    broken = {"title": "Failed", "detail": "something broke", "status": 500}
    page.route("**/explain?*", lambda route: route.fulfill(status=500, json=broken))
    page.goto(server.url)
    expect(page.locator(".problem")).to_contain_text("something broke")
    page.unroute("**/explain?*")
    page.get_by_role("button", name="Try again").click()
    explained(page, "cat")


def test_a_key_that_no_key_can_be_is_not_sent(page_in_trouble: Page, tmp_path: Path) -> None:
    page = page_in_trouble
    with running_server(tmp_path, {f"{PREFIX}API_KEYS": KEY}) as guarded:
        page.goto(guarded.url)
        page.get_by_label("API key").fill("ключ")
        page.get_by_role("button", name="Use this key").click()
        expect(page.get_by_label("API key")).to_be_visible()
        page.get_by_label("API key").fill(KEY)
        page.get_by_role("button", name="Use this key").click()
        explained(page, "cat")
        page.get_by_role("button", name="Copy as curl").click()
        expect(page.locator("#code")).to_contain_text('-H "X-API-Key: $LRPSERVE_API_KEY"')
        assert KEY not in page.locator("#code").inner_text()
