"""A real browser for tests: Debian's Chromium, headless, driven by Playwright."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, sync_playwright

from tests.helpers.tools import find_tool

FLAGS = (
    "--no-sandbox",  # tests run as root where there is no one else
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start Chromium; skips where there is none, but fails in CI."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_tool("chromium"), args=[*FLAGS])
        yield browser
        browser.close()


@contextmanager
def no_errors(page: Page) -> Iterator[None]:
    """Close the page at the end, and fail where a script of it failed or its console has errors."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    yield
    page.close()
    assert errors == []
