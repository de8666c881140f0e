"""The view of several explanations of one image."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from service.methods import ATTRIBUTORS, COMPOSITES
from tests.servers import RunningServer
from tests.web.conftest import Service

N_METHODS = len(COMPOSITES) + len(ATTRIBUTORS) - 1


@pytest.fixture
def opened(server: RunningServer, page: Page) -> Page:
    page.goto(f"{server.url}/?view=compare")
    expect(page.locator(".column")).to_have_count(4)
    return page


def names(page: Page) -> list[str]:
    return page.locator(".column h3").all_inner_texts()


def test_the_first_composites_stand_beside_each_other(opened: Page) -> None:
    assert names(opened) == [name.replace("_", " ") for name in list(COMPOSITES)[:4]]


def test_each_column_tells_time_conservation_and_size(opened: Page, service: Service) -> None:
    for column, name in zip(opened.locator(".column").all(), COMPOSITES, strict=False):
        answer = service.explain("cat", composite=name, target="cat")
        text = column.locator("p").first.inner_text()
        assert " ms · " in text
        ratio = answer["conservation"]["ratio"]
        told = "not conserving" if ratio is None else f"{100 * ratio:.0f}% conserved"
        assert told in text
        largest = float(text.rpartition(" ")[2])
        assert largest == pytest.approx(answer["bound"], rel=5e-3)


def test_all_columns_share_a_scale(opened: Page, service: Service) -> None:
    bounds = [service.explain("cat", composite=name)["bound"] for name in list(COMPOSITES)[:4]]
    shown = float(opened.locator(".scale span").last.inner_text().split()[0])
    assert shown == pytest.approx(max(bounds), rel=5e-3)
    opened.get_by_label("Each on a scale of its own").check()
    expect(opened.locator(".scale")).to_have_count(0)


def test_columns_are_added_and_removed(opened: Page) -> None:
    opened.get_by_label("Add a column").select_option("~occlusion")
    expect(opened.locator(".column")).to_have_count(5)
    assert names(opened)[-1] == "occlusion"
    opened.get_by_label("Remove epsilon plus", exact=True).click()
    expect(opened.locator(".column")).to_have_count(4)
    assert "epsilon plus" not in names(opened)
    opened.reload()
    expect(opened.locator(".column")).to_have_count(4)
    assert names(opened)[-1] == "occlusion"


def test_the_last_column_can_go_and_others_come(opened: Page) -> None:
    for left in (3, 2, 1, 0):
        opened.locator(".column button").first.click()
        expect(opened.locator(".column")).to_have_count(left)
    opened.get_by_label("Add a column").select_option("none")
    expect(opened.locator(".column")).to_have_count(1)


def test_every_method_can_be_a_column(opened: Page) -> None:
    opened.get_by_role("button", name="All").click()
    expect(opened.locator(".column")).to_have_count(N_METHODS)


def test_classes_are_compared_too(opened: Page, service: Service) -> None:
    opened.get_by_label("Compare", exact=True).select_option("classes")
    expect(opened.locator(".column")).to_have_count(3)
    assert names(opened) == ["airplane", "automobile", "bird"]
    opened.get_by_label("Add a column").select_option("dog")
    expect(opened.locator(".column")).to_have_count(4)
    text = opened.locator(".column p").nth(6).inner_text()
    bound = service.explain("cat", target="dog")["bound"]
    assert float(text.rpartition(" ")[2]) == pytest.approx(bound, rel=5e-3)


def test_a_column_tells_its_numbers(opened: Page, service: Service) -> None:
    opened.locator(".column .map").nth(1).focus()
    opened.keyboard.press("ArrowDown")
    readout = opened.locator(".column").nth(1).locator(".readout")
    expect(readout).to_contain_text("Row 17, column 16")
    value = float(readout.get_attribute("data-value") or "nan")
    relevance = service.relevance("cat", composite=list(COMPOSITES)[1], target="cat")
    assert value == pytest.approx(float(relevance[17, 16]), rel=1e-4)
