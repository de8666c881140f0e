"""Pages in a real browser, on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.browsers import open_browser
from tests.servers import RunningServer

PATHS = ["/predict", "/explain", "/models", "/models/{name}", "/healthz", "/readyz", "/metrics"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page, on which an error of a script fails the test."""
    opened = browser.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    opened.close()
    assert errors == []


def test_docs_show_every_path(server: RunningServer, page: Page) -> None:
    page.goto(f"{server.url}/docs")
    page.wait_for_selector(".opblock")
    shown = [path.inner_text() for path in page.query_selector_all(".opblock-summary-path")]
    assert [path.replace("\u200b", "") for path in shown] == PATHS


def test_docs_fetch_nothing_from_elsewhere(server: RunningServer, page: Page) -> None:
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    page.goto(f"{server.url}/docs")
    page.wait_for_selector(".opblock")
    assert fetched
    assert [url for url in fetched if not url.startswith((server.url, "data:"))] == []


def test_the_first_page_leads_to_the_docs(server: RunningServer, page: Page) -> None:
    page.goto(server.url)
    page.wait_for_selector(".opblock")
    assert page.url == f"{server.url}/docs"


@pytest.mark.parametrize("operation", ["predict_predict_post", "explain_explain_post"])
def test_an_image_can_be_tried_in_the_docs(
    server: RunningServer, page: Page, operation: str, cat: Path
) -> None:
    page.goto(f"{server.url}/docs#/images/{operation}")
    page.set_input_files("input[type=file]", cat)
    page.click("button.execute")
    status = page.wait_for_selector(".live-responses-table tr.response td.response-col_status")
    assert status is not None
    assert status.inner_text().split()[0] == "200"
