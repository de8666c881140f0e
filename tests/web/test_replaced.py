"""A model that is replaced while the page is open."""

from __future__ import annotations

from pathlib import Path

import httpx
from playwright.sync_api import Page, expect

from tests.helpers.bundles import replace_bundle, write_variant
from tests.helpers.servers import running_server


def test_the_page_shows_the_new_model_after_its_first_answer(tmp_path: Path, page: Page) -> None:
    cards = [write_variant(tmp_path / f"variant-{n}", n) for n in range(2)]
    replace_bundle(tmp_path / "default", tmp_path / "variant-0")
    settings = {
        "LRPSERVE_MODEL": str(tmp_path / "default"),
        "LRPSERVE_MODEL_CONTROL": "open",
    }
    with running_server(tmp_path, settings) as server:
        page.goto(f"{server.url}/")
        expect(page.locator("#view canvas").first).to_be_visible()
        replace_bundle(tmp_path / "default", tmp_path / "variant-1")
        httpx.post(f"{server.url}/models/{cards[0].name}/reload", timeout=60).raise_for_status()
        with page.expect_response("**/models"):  # the page lists them again
            page.get_by_label("Composite").select_option("epsilon_plus")
        expect(page.locator("#view canvas").first).to_be_visible()
        page.get_by_role("link", name="Model").click()
        expect(page.locator("#view")).to_contain_text(cards[1].sha256)
        page.goto("about:blank")
