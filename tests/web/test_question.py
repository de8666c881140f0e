"""The class that is explained and its contrast, in every view."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.helpers.servers import RunningServer
from tests.web.conftest import Service
from tests.web.test_trouble import expect_explained

VIEWS = ["compare", "layers"]


def select(page: Page, label: str, name: str) -> None:
    page.get_by_label(label, exact=True).select_option(name)


@pytest.mark.parametrize("view", VIEWS)
def test_a_contrast_is_changed_and_removed_in_place(
    server: RunningServer, page: Page, view: str
) -> None:
    page.goto(f"{server.url}/?view={view}&contrast=label:dog")
    heading = page.locator("#view h2").first
    expect(heading).to_contain_text("“cat” rather than “dog”")
    expect(page.get_by_label("… rather than")).to_have_value("dog")
    page.get_by_label("… rather than").focus()
    select(page, "… rather than", "frog")
    expect(heading).to_contain_text("“cat” rather than “frog”")
    expect(page.get_by_label("… rather than")).to_be_focused()
    select(page, "… rather than", "no other class")
    expect(heading).not_to_contain_text("rather than")
    expect(heading).to_contain_text("“cat”")
    assert "contrast" not in page.url


def test_another_class_is_shown_in_the_layers(
    server: RunningServer, page: Page, service: Service
) -> None:
    page.goto(f"{server.url}/?view=layers")
    expect(page.locator("#flow")).to_be_visible()
    select(page, "Why", "ship")
    expect(page.locator("#view h2").first).to_contain_text("“ship”")
    arrived = service.explain("cat", target="ship")["conservation"]["arrived"]
    shown = page.locator("#flow > div").first.inner_text().split("\n")[-1]
    assert float(shown.replace("−", "-")) == pytest.approx(arrived, rel=5e-3)


def test_a_class_is_never_contrasted_with_itself(server: RunningServer, page: Page) -> None:
    page.goto(f"{server.url}/?view=layers&contrast=label:dog")
    expect(page.locator("#flow")).to_be_visible()
    options = page.get_by_label("… rather than").locator("option")
    assert "cat" not in options.all_inner_texts()
    select(page, "Why", "dog")
    expect(page.locator("#view h2").first).to_have_text("Relevance of “dog” by layer")
    assert "contrast" not in page.url


@pytest.mark.parametrize("view", VIEWS)
def test_the_predicted_class_is_never_contrasted_with_itself(
    server: RunningServer, page: Page, view: str
) -> None:
    page.goto(f"{server.url}/?view={view}&target=label:dog&contrast=label:cat")
    heading = page.locator("#view h2").first
    expect(heading).to_contain_text("“dog” rather than “cat”")
    select(page, "Why", "predicted class")
    expect(heading).to_contain_text("“cat”")
    expect(heading).not_to_contain_text("rather than")
    expect(page.locator(".problem")).to_have_count(0)


@pytest.mark.parametrize("given", ["5", "dog", "label:dog"])
def test_the_menu_shows_the_class_of_the_address(
    server: RunningServer, page: Page, given: str
) -> None:
    page.goto(f"{server.url}/?view=layers&target={given}&contrast=3")
    expect(page.locator("#view h2").first).to_contain_text("“dog” rather than “cat”")
    expect(page.get_by_label("Why", exact=True)).to_have_value("dog")
    expect(page.get_by_label("… rather than")).to_have_value("cat")


@pytest.mark.parametrize("option", ["target", "contrast"])
def test_an_unknown_class_is_shown_and_can_be_changed(
    server: RunningServer, lenient_page: Page, option: str
) -> None:
    page = lenient_page
    label, first = {
        "target": ("Why", "predicted class"),
        "contrast": ("… rather than", "no other class"),
    }[option]
    page.goto(f"{server.url}/?{option}=label:unicorn")
    expect(page.locator(".problem")).to_contain_text(option)
    chosen = page.get_by_label(label, exact=True).locator("option:checked")
    expect(chosen).to_have_text("unicorn (unknown)")
    select(page, label, first)
    expect_explained(page, "cat")
    expect(page.locator(".problem")).to_have_count(0)
