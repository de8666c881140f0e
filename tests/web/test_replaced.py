"""A model that is replaced while the page is open."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from playwright.sync_api import Page, Route, expect

from service.models.card import ModelCard
from tests.helpers.bundles import replace_bundle, write_variant
from tests.helpers.servers import RunningServer, running_server


@contextmanager
def serving_variants(folder: Path) -> Iterator[tuple[RunningServer, list[ModelCard]]]:
    """A server of the first of two models of one name."""
    cards = [write_variant(folder / f"variant-{n}", n) for n in range(2)]
    replace_bundle(folder / "default", folder / "variant-0")
    settings = {"LRPSERVE_MODEL": str(folder / "default"), "LRPSERVE_MODEL_CONTROL": "open"}
    with running_server(folder, settings) as server:
        yield server, cards


def replace_model(server: RunningServer, folder: Path, name: str) -> None:
    """Replace it by the second one."""
    replace_bundle(folder / "default", folder / "variant-1")
    httpx.post(f"{server.url}/models/{name}/reload", timeout=60).raise_for_status()


def test_the_page_shows_the_new_model_after_its_first_answer(tmp_path: Path, page: Page) -> None:
    with serving_variants(tmp_path) as (server, cards):
        page.goto(f"{server.url}/")
        expect(page.locator("#view canvas").first).to_be_visible()
        replace_model(server, tmp_path, cards[0].name)
        with page.expect_response("**/models"):  # the page lists them again
            page.get_by_label("Composite").select_option("epsilon_plus")
        expect(page.locator("#view canvas").first).to_be_visible()
        page.get_by_role("link", name="Model").click()
        expect(page.locator("#view")).to_contain_text(cards[1].sha256)
        page.goto("about:blank")


def test_maps_of_layers_are_those_of_the_new_model(tmp_path: Path, page: Page) -> None:
    with serving_variants(tmp_path) as (server, cards):
        page.goto(f"{server.url}/?view=layers&composite=guided_backprop")
        maps = page.locator("#layers .column p:first-of-type")
        expect(page.locator("#layers canvas").first).to_be_visible()
        before = maps.all_inner_texts()
        replace_model(server, tmp_path, cards[0].name)
        with page.expect_response("**/models"):
            page.get_by_label("Composite").select_option("epsilon_plus")
        with page.expect_response("**/explain?*composite=guided_backprop*layers=all*"):
            page.get_by_label("Composite").select_option("guided_backprop")
        expect(page.locator("#layers [aria-busy]")).to_have_count(0)
        assert maps.all_inner_texts() != before
        page.goto("about:blank")


def test_layers_of_another_model_than_is_listed_are_noticed(
    server: RunningServer, page: Page
) -> None:
    def change_hash(route: Route) -> None:
        response = route.fetch()
        body = response.json() | {"model_sha256": "0" * 64}
        route.fulfill(response=response, body=json.dumps(body))

    page.route("**/explain?*layers=all*", change_hash)
    page.goto(server.url)
    expect(page.locator("#view canvas").first).to_be_visible()
    with page.expect_response("**/models"):  # the page lists them again
        page.get_by_role("link", name="Layers").click()
    expect(page.locator("#layers canvas").first).to_be_visible()
    page.goto("about:blank")
