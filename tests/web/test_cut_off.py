"""Responses that are cut off."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.helpers.servers import RunningServer
from tests.web.test_trouble import expect_explained

CUT_OFF = "The response was cut off"


class CuttingProxy(ThreadingHTTPServer):
    """Forwards requests, but sends only the first half of some responses."""

    daemon_threads = True

    def __init__(self, origin: str, *, has_length: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.origin, self.has_length, self.cut = origin, has_length, ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: CuttingProxy

    def do_GET(self) -> None:
        n_bytes = int(self.headers.get("Content-Length", 0))
        content = self.rfile.read(n_bytes)
        passed_on = ("Accept", "Content-Type")
        kind = {name: self.headers[name] for name in passed_on if name in self.headers}
        url = f"{self.server.origin}{self.path}"
        answer = httpx.request(self.command, url, content=content, headers=kind, timeout=60)
        self.send_response(answer.status_code)
        self.send_header("Content-Type", answer.headers["Content-Type"])
        is_api = not self.path.startswith("/web/")
        is_cut = is_api and bool(self.server.cut) and self.server.cut in self.path
        if self.server.has_length:  # else the end of the connection is that of the answer
            self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content[: len(answer.content) // 2] if is_cut else answer.content)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def cutting(server: RunningServer, *, has_length: bool) -> Iterator[CuttingProxy]:
    with CuttingProxy(server.url, has_length=has_length) as proxy:
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()


@pytest.fixture(params=[True, False], ids=["with a length", "without"])
def proxy(server: RunningServer, request: pytest.FixtureRequest) -> Iterator[CuttingProxy]:
    with cutting(server, has_length=request.param) as running:
        yield running


@pytest.mark.parametrize(
    ("view", "cut", "shown"),
    [
        ("explain", "/explain?", "#classes"),
        ("explain", "/models", "#classes"),
        ("compare", "/predict", ".column .readout"),
        ("compare", "composite=epsilon_plus", ".column:nth-child(2) .readout"),
        ("layers", "layers=all", "#layers .readout"),
        ("layers&attributor=smooth_grad&n_samples=2", "layer=features.5", "#layers .readout"),
    ],
)
def test_a_response_that_is_cut_off_is_reported_and_retried(
    proxy: CuttingProxy, lenient_page: Page, view: str, cut: str, shown: str
) -> None:
    page = lenient_page
    proxy.cut = cut
    page.goto(f"{proxy.url}/?view={view}&columns=none|epsilon_plus")
    expect(page.locator(".problem")).to_contain_text(CUT_OFF)
    proxy.cut = ""
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".problem")).to_have_count(0)
    expect(page.locator(shown).first).to_be_attached()
    page.goto("about:blank")


def test_a_download_that_is_cut_off_is_reported(server: RunningServer, lenient_page: Page) -> None:
    page = lenient_page
    with cutting(server, has_length=True) as proxy:
        page.goto(proxy.url)
        expect_explained(page, "cat")
        proxy.cut = "/explain?"
        page.get_by_role("button", name="Everything (JSON)").click()
        expect(page.locator("#download-problem")).to_contain_text(CUT_OFF)
        page.goto("about:blank")
