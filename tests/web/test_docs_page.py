"""The page of the API in a real browser, on a real server."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page

from tests.helpers.servers import RunningServer


def test_docs_show_every_path(server: RunningServer, lenient_page: Page) -> None:
    paths = httpx.get(f"{server.url}/openapi.json").json()["paths"]
    assert {"/predict", "/explain", "/models", "/v1/models/{model}:explain"} <= paths.keys()
    page = lenient_page  # Swagger's own warnings are no matter of ours
    page.goto(f"{server.url}/docs")
    page.wait_for_selector(".opblock")
    shown = [path.inner_text() for path in page.query_selector_all(".opblock-summary-path")]
    operations = [path for path, methods in paths.items() for _ in methods]
    assert sorted(path.replace("\u200b", "") for path in shown) == sorted(operations)


def test_docs_fetch_nothing_from_elsewhere(server: RunningServer, lenient_page: Page) -> None:
    page = lenient_page  # Swagger's own warnings are no matter of ours
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    page.goto(f"{server.url}/docs")
    page.wait_for_selector(".opblock")
    assert fetched
    assert [url for url in fetched if not url.startswith((server.url, "data:"))] == []


@pytest.mark.parametrize("operation", ["predict_predict_post", "explain_explain_post"])
def test_an_image_can_be_tried_in_the_docs(
    server: RunningServer, lenient_page: Page, operation: str, cat: Path
) -> None:
    page = lenient_page  # Swagger's own warnings are no matter of ours
    page.goto(f"{server.url}/docs#/images/{operation}")
    page.set_input_files("input[type=file]", cat)
    page.click("button.execute")
    status = page.wait_for_selector(".live-responses-table tr.response td.response-col_status")
    assert status is not None
    assert status.inner_text().split()[0] == "200"
