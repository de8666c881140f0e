"""The page in a browser: it repeats what may succeed later, and sends equal requests once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.helpers.browsers import open_browser
from tests.helpers.servers import RunningServer

LIMIT_MS = 30_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page()
    yield opened
    opened.close()


def answer_once_with(page: Page, name: str, status: int, headers: dict[str, str]) -> list[str]:
    """Answer the first request for an explanation with a problem; returns the URLs of all."""
    urls: list[str] = []

    def answer(route: Route) -> None:
        urls.append(route.request.url)
        if len(urls) > 1:
            route.continue_()
            return
        problem = {"type": f"urn:lrpserve:problem:{name}", "title": name, "detail": f"say {name}"}
        route.fulfill(status=status, headers=headers, json=problem | {"status": status})

    page.route("**/explain?*", answer)
    return urls


@pytest.mark.parametrize(("name", "status"), [("out-of-memory", 507), ("broken", 503)])
def test_the_page_shows_once_what_comes_again(
    server: RunningServer, page: Page, name: str, status: int
) -> None:
    # with a header that would have it repeated at once, if it were
    urls = answer_once_with(page, name, status, {"Retry-After": "0"})
    page.goto(server.url)
    expect(page.locator(".problem")).to_contain_text(f"say {name}", timeout=LIMIT_MS)
    expect(page.locator(".waiting")).to_have_count(0)
    assert len(urls) == 1


@pytest.mark.parametrize(("name", "status"), [("queue-full", 429), ("not-ready", 503)])
def test_the_page_repeats_what_may_succeed_later(
    server: RunningServer, page: Page, name: str, status: int
) -> None:
    urls = answer_once_with(page, name, status, {"Retry-After": "1"})
    page.goto(server.url)
    expect(page.locator("#view h2").first).to_have_text("Why “cat”?", timeout=LIMIT_MS)
    expect(page.locator(".problem")).to_have_count(0)
    assert len(urls) == 2
    assert urls[0] == urls[1]


ASK_TWICE = """async () => {
  const { getTopLabels } = await import("./web/js/service/answers.js");
  const image = { blob: await (await fetch("web/samples/cat.jpg")).blob() };
  return Promise.all([1, 2].map(() => getTopLabels(image, "", 3)));
}"""


def test_the_page_sends_equal_requests_once(server: RunningServer, page: Page) -> None:
    page.goto(server.url)
    expect(page.locator("#view h2").first).to_have_text("Why “cat”?", timeout=LIMIT_MS)
    urls: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    first, second = page.evaluate(ASK_TWICE)
    assert first == second
    assert first[0] == "cat"
    assert len([url for url in urls if "/predict" in url]) == 1
