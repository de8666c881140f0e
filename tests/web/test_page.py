"""The page as a whole: its files, its size, its layout, and its accessibility."""

from __future__ import annotations

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.helpers.servers import RunningServer
from tests.web.conftest import ROOT

BROWSER = {"Accept": "text/html"}
VIEWS = {"explain": "#classes", "compare": ".column", "layers": "#flow", "model": "table"}
BUDGET_BYTES = 150_000
WIDTHS = (360, 768, 1440)


def test_every_file_has_a_strict_policy(server: RunningServer) -> None:
    for path in ("/", "/web/js/main.js", "/web/css/base.css", "/web/samples/cat.jpg"):
        headers = httpx.get(f"{server.url}{path}", headers=BROWSER).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"


def test_unchanged_files_are_answered_with_304(server: RunningServer) -> None:
    for path in ("/", "/web/js/main.js"):
        first = httpx.get(f"{server.url}{path}", headers=BROWSER)
        headers = BROWSER | {"If-None-Match": first.headers["etag"]}
        again = httpx.get(f"{server.url}{path}", headers=headers)
        assert again.status_code == 304


def test_other_files_are_not_served(server: RunningServer) -> None:
    for path in ("/web/", "/web/../app.py", "/web/%2e%2e/app.py", "/web/nothing.js"):
        answer = httpx.get(f"{server.url}{path}")
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"


def test_every_module_is_preloaded(server: RunningServer) -> None:
    """Else the browser finds the imports of each only after it has fetched it."""
    page = httpx.get(server.url, headers=BROWSER).text
    folder = ROOT / "service" / "web" / "js"
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*.js")]
    assert len(names) > 10
    assert [name for name in names if f"web/js/{name}" not in page] == []


def test_nothing_comes_from_elsewhere(server: RunningServer, page: Page) -> None:
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    page.goto(server.url)
    expect(page.locator("#classes")).to_be_visible()
    assert len(fetched) > 10
    assert [url for url in fetched if not url.startswith((server.url, "data:", "blob:"))] == []


def test_the_first_visit_takes_few_bytes(server: RunningServer, page: Page) -> None:
    sizes: list[float] = []
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    page.goto(server.url)
    expect(page.locator("#classes")).to_be_visible()
    assert 20_000 < sum(sizes) < BUDGET_BYTES


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_no_violation(
    server: RunningServer, browser: Browser, view: str, scheme: str
) -> None:
    context = browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light", bypass_csp=True
    )
    page = context.new_page()
    page.goto(f"{server.url}/?view={view}")
    expect(page.locator(VIEWS[view]).first).to_be_visible()
    found = Axe().run(page).response["violations"]
    context.close()
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("view", VIEWS)
def test_no_view_is_wider_than_the_window(
    server: RunningServer, page: Page, view: str, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(f"{server.url}/?view={view}")
    expect(page.locator(VIEWS[view]).first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_views_are_reached_by_keyboard(server: RunningServer, page: Page) -> None:
    page.goto(server.url)
    expect(page.locator("#classes")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".column").first).to_be_visible()
    assert page.locator("nav [aria-current]").inner_text() == "Compare"


def test_a_class_is_chosen_by_keyboard(server: RunningServer, page: Page) -> None:
    page.goto(server.url)
    page.locator("#classes button").nth(1).focus()
    page.keyboard.press("Enter")
    expect(page.locator("#classes button").nth(1)).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#classes button").nth(1)).to_be_focused()


def test_the_api_is_one_click_away(server: RunningServer, page: Page) -> None:
    page.goto(server.url)
    page.get_by_role("link", name="API").click()
    page.wait_for_url(f"{server.url}/docs")
