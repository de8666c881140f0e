"""The page over HTTPS: a real server with a certificate of its own, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.helpers.authority import Authority
from tests.helpers.browsers import no_errors
from tests.helpers.servers import RunningServer, running_server


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("secure")
    authority = Authority(folder)
    with running_server(folder, authority.settings, trust=authority.trust) as server:
        yield server


@pytest.fixture
def secure_page(browser: Browser) -> Iterator[Page]:
    """A page that takes certificates of any authority; errors in the console fail the test."""
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    with no_errors(page):
        yield page
    context.close()


def test_the_page_explains_an_own_image_and_fetches_nothing_in_the_clear(
    secure: RunningServer, secure_page: Page, cat: Path
) -> None:
    page = secure_page
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    page.goto(secure.url)
    expect(page.locator("#classes")).to_be_visible()
    with page.expect_response(lambda response: "/explain" in response.url) as explained:
        page.set_input_files("#file", cat)
    assert explained.value.status == 200
    expect(page.locator("#note")).to_contain_text("own")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy as curl", exact=True).click()
    expect(page.get_by_text("Copied.")).to_be_visible()
    assert f"{secure.url}/explain" in page.evaluate("navigator.clipboard.readText()")
    assert [url for url in fetched if not url.startswith((secure.url, "data:", "blob:"))] == []
