"""Pages in a browser, and the service's own responses to compare them with."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser, Page, expect

from tests.helpers.browsers import no_errors, open_browser
from tests.helpers.servers import RunningServer

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "service" / "web" / "samples"

# a busy machine may need long for a dozen methods
expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")  # while one is open, nothing else can run an event loop
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page on which any error in the console fails the test."""
    opened = browser.new_page()
    with no_errors(opened):
        yield opened


@pytest.fixture
def lenient_page(browser: Browser) -> Iterator[Page]:
    """A page on which requests may fail, which the browser reports; no script may."""
    opened = browser.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    opened.close()
    assert errors == []


class Service:
    """Sends the requests that the page should send."""

    def __init__(self, url: str) -> None:
        self.url = url

    def request(self, sample: str, accept: str, **options: str) -> httpx.Response:
        headers = {"Content-Type": "image/jpeg", "Accept": accept}
        image = (SAMPLES / f"{sample}.jpg").read_bytes()
        sent = httpx.post(f"{self.url}/explain", content=image, params=options, headers=headers)
        return sent.raise_for_status()

    def explain(self, sample: str, **options: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.request(sample, "application/json", **options).json()
        return answer

    def relevance(self, sample: str, **options: str) -> NDArray[np.float32]:
        content = self.request(sample, "application/x-npy", **options).content
        array: NDArray[np.float32] = np.load(io.BytesIO(content))
        return array


@pytest.fixture
def service(server: RunningServer) -> Service:
    return Service(server.url)
