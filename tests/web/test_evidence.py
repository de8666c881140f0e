"""Whether a map is right, in the view of one explanation."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.helpers.servers import RunningServer
from tests.web.conftest import Service

QUESTION = "Is this map right?"


@pytest.fixture
def opened(server: RunningServer, page: Page) -> Page:
    page.goto(server.url)
    expect(page.locator("#classes")).to_be_visible()
    return page


def test_it_is_shown_where_it_is_asked_for(opened: Page, service: Service) -> None:
    asked: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    expect(opened.locator("#deletion")).to_have_count(0)
    opened.get_by_role("button", name=QUESTION).click()
    evidence = service.explain("cat", output="evidence")["evidence"]
    panel = opened.locator("#evidence")
    expect(panel).to_contain_text(evidence["text"])
    expect(panel.locator("h3")).to_have_attribute("data-verdict", evidence["verdict"])
    assert "evidence=1" in opened.url
    assert len([url for url in asked if "explain?" in url]) == 1  # the map is not asked for again
    expect(opened.get_by_role("button", name=QUESTION)).to_be_focused()
    expect(panel.locator("path.line")).to_have_count(3)
    panel.get_by_text("Numbers").click()
    cells = panel.locator("tbody tr").nth(2).locator("td").all_inner_texts()
    deletion = evidence["deletion"]
    numbers = [
        deletion["most_relevant_first"][2],
        deletion["random"]["mean"][2],
        deletion["least_relevant_first"][2],
        deletion["random"]["std"][2],
    ]
    shown = [float(text.removesuffix("%")) / 100 for text in cells]
    assert shown == pytest.approx(numbers, abs=0.006)
    opened.get_by_role("button", name=QUESTION).click()
    expect(opened.locator("#deletion")).to_have_count(0)


def test_a_link_has_it_and_another_class_has_its_own(server: RunningServer, page: Page) -> None:
    page.goto(f"{server.url}/?evidence=1")
    expect(page.locator("#evidence")).to_contain_text("of the image takes cat from")
    page.locator("#classes button", has_text="dog").click()
    expect(page.locator("#evidence")).to_contain_text("of the image takes dog from")


def test_a_map_of_occlusion_is_not_tested_with_itself(server: RunningServer, page: Page) -> None:
    page.goto(f"{server.url}/?attributor=occlusion&evidence=1")
    expect(page.locator("#classes")).to_be_visible()
    expect(page.locator("#evidence")).to_have_count(0)


def test_what_fails_can_be_tried_again(server: RunningServer, lenient_page: Page) -> None:
    page = lenient_page
    page.route("**/explain?*evidence*", lambda route: route.fulfill(status=500, body="{}"))
    page.goto(f"{server.url}/?evidence=1")
    again = page.locator("#evidence").get_by_role("button", name="Try again")
    expect(again).to_be_visible()
    expect(page.locator(".map")).to_be_visible()
    page.unroute("**/explain?*evidence*")
    again.click()
    expect(page.locator("#deletion")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible(server: RunningServer, page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(f"{server.url}/?evidence=1")
    expect(page.locator("#deletion")).to_be_visible()
    found = Axe().run(page)
    assert found.response["violations"] == []
