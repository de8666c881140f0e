"""The view of the layers."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.helpers.servers import RunningServer
from tests.web.conftest import Service


@pytest.fixture
def opened(server: RunningServer, page: Page) -> Page:
    page.goto(f"{server.url}/?view=layers&sample=horse")
    expect(page.locator("#flow")).to_be_visible()
    return page


def test_bars_show_the_sum_of_each_layer(opened: Page, service: Service) -> None:
    answer = service.explain("horse")
    conservation = answer["conservation"]
    layers = [*conservation["by_layer"], {"layer": "input", "arrived": conservation["arrived"]}]
    layers.reverse()
    rows = [row.inner_text().split("\n") for row in opened.locator("#flow > div").all()]
    assert [row[0] for row in rows] == [layer["layer"] for layer in layers]
    told = [float(row[-1].replace("−", "-")) for row in rows]
    assert told == pytest.approx([layer["arrived"] for layer in layers], rel=5e-3)


def test_there_is_a_map_for_each_layer(opened: Page, service: Service) -> None:
    names = opened.locator("#layers h3").all_inner_texts()
    assert names[0] == "input"
    assert {"features.5", "classifier.7"} < set(names)
    assert len(names) == len(set(names))
    for name in ("features.5", "classifier.4"):
        shown = opened.locator(".column", has=opened.get_by_role("heading", name=name, exact=True))
        text = shown.locator("p").first.inner_text()
        largest = abs(service.relevance("horse", layer=name)).max()
        assert float(text.rpartition(" ")[2]) == pytest.approx(largest, rel=5e-3)


def test_one_request_has_all_layers(server: RunningServer, page: Page) -> None:
    urls: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    page.goto(f"{server.url}/?view=layers&sample=horse")
    expect(page.locator("#layers .column canvas")).to_have_count(16)
    assert ["layers=all" in url for url in urls if "/explain?" in url] == [False, True]


def test_smooth_grad_has_a_request_for_each_layer(server: RunningServer, page: Page) -> None:
    urls: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    page.goto(f"{server.url}/?view=layers&sample=horse&attributor=smooth_grad&n_samples=2")
    expect(page.locator("#layers .column canvas")).to_have_count(16)
    assert sum("layer=features.6&" in url for url in urls) == 1


def test_an_attributor_without_layers_says_so(server: RunningServer, page: Page) -> None:
    page.goto(f"{server.url}/?view=layers&attributor=occlusion")
    expect(page.locator("#view")).to_contain_text("no relevance at its layers")


def test_a_method_that_does_not_conserve_has_no_bars(server: RunningServer, page: Page) -> None:
    page.goto(f"{server.url}/?view=layers&composite=deconvnet")
    expect(page.locator("#view")).to_contain_text("does not conserve")


BROKEN = {"title": "Failed", "detail": "something broke", "status": 500}
TOO_LARGE = {"title": "Refused", "detail": "the response would be too large", "status": 422}


def answer_with(page: Page, option: str, problem: dict[str, Any]) -> None:
    """Answer requests that have an option with a problem."""
    page.route(
        f"**/explain?*{option}&*",
        lambda route: route.fulfill(status=problem["status"], json=problem),
    )


def test_a_request_for_all_layers_that_fails_leaves_the_sums_and_can_be_retried(
    server: RunningServer, lenient_page: Page
) -> None:
    page = lenient_page
    urls: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    answer_with(page, "layers=all", BROKEN)
    page.goto(f"{server.url}/?view=layers")
    expect(page.locator(".problem")).to_have_count(1)
    expect(page.locator("#layers > .problem")).to_contain_text("something broke")
    expect(page.locator("#flow")).to_be_visible()
    page.unroute("**/explain?*layers=all&*")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#layers .column canvas")).to_have_count(16)
    expect(page.locator(".problem")).to_have_count(0)
    expect(page.locator("#view")).to_be_focused()
    sent = ["layers=all" in url for url in urls if "/explain?" in url]
    assert sent == [False, True, True]


def test_a_failing_layer_leaves_the_others_and_can_be_retried(
    server: RunningServer, lenient_page: Page
) -> None:
    page = lenient_page
    answer_with(page, "layers=all", TOO_LARGE)  # so that each has a request of its own
    answer_with(page, "layer=features.6", BROKEN)
    page.goto(f"{server.url}/?view=layers")
    expect(page.locator("#layers [aria-busy]")).to_have_count(0)
    expect(page.locator("#flow")).to_be_visible()
    failing = page.locator("#layers .column", has=page.locator(".problem"))
    expect(failing).to_have_count(1)
    expect(failing.locator("h3")).to_have_text("features.6")
    page.unroute("**/explain?*layer=features.6&*")
    failing.get_by_role("button", name="Try again").click()
    expect(page.locator(".problem")).to_have_count(0)
    expect(page.locator("#layers .column canvas")).to_have_count(16)
    expect(page.locator("#view")).to_be_focused()
