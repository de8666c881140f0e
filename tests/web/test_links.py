"""Links with unknown names: the name is shown, and can be changed."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from service.settings import DEFAULT_MODEL
from tests.helpers.servers import RunningServer
from tests.web.test_trouble import expect_explained

UNKNOWN = [
    ("Model", "model", DEFAULT_MODEL),
    ("Composite", "composite", "epsilon_plus_flat"),
    ("Attributor", "attributor", "gradient"),
]


@pytest.mark.parametrize(("label", "option", "name"), UNKNOWN, ids=[one[1] for one in UNKNOWN])
def test_an_unknown_name_is_shown_and_can_be_changed(
    server: RunningServer, lenient_page: Page, label: str, option: str, name: str
) -> None:
    page = lenient_page
    page.goto(f"{server.url}/?{option}=nothing_such")
    expect(page.locator(".problem")).to_contain_text(option)
    menu = page.get_by_label(label, exact=True)
    expect(menu.locator("option:checked")).to_have_text("nothing_such (unknown)")
    menu.select_option(name)
    expect_explained(page, "cat")
    expect(page.locator(".problem")).to_have_count(0)
    expect(page.locator("#controls")).not_to_contain_text("(unknown)")


def test_an_unknown_model_shows_no_other_models_card(
    server: RunningServer, lenient_page: Page
) -> None:
    page = lenient_page
    page.goto(f"{server.url}/?view=model&model=nothing/such")
    expect(page.locator(".problem")).to_contain_text("nothing/such")
    expect(page.locator("#view")).to_be_empty()
    page.get_by_label("Model", exact=True).select_option(DEFAULT_MODEL)
    expect(page.locator("#view h2").first).to_have_text(DEFAULT_MODEL)
    expect(page.locator(".problem")).to_have_count(0)


@pytest.mark.parametrize("query", ["columns=nothing|none", "by=classes&columns=nothing|dog"])
def test_an_unknown_column_fails_in_place_and_can_be_removed(
    server: RunningServer, lenient_page: Page, query: str
) -> None:
    page = lenient_page
    page.goto(f"{server.url}/?view=compare&{query}")
    expect(page.locator(".column")).to_have_count(2)
    expect(page.locator(".column").first.locator(".problem")).to_be_visible()
    page.get_by_label("Remove nothing").click()
    expect(page.locator(".column")).to_have_count(1)
    expect(page.locator(".problem")).to_have_count(0)
