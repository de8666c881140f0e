"""The view of several explanations of one image."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from service.methods import ATTRIBUTORS, COMPOSITES
from service.models.card import ModelCard, write_card
from service.models.registry import SHIPPED
from service.settings import DEFAULT_MODEL
from tests.helpers.servers import RunningServer, running_server
from tests.web.conftest import Service
from tests.web.pictures import drawn

N_METHODS = len(COMPOSITES) + len(ATTRIBUTORS) - 1


@pytest.fixture
def opened(server: RunningServer, page: Page) -> Page:
    page.goto(f"{server.url}/?view=compare")
    expect(page.locator(".column")).to_have_count(4)
    expect(page.locator("[aria-busy]")).to_have_count(0)
    return page


def names(page: Page) -> list[str]:
    return page.locator(".column h3").all_inner_texts()


def test_the_first_composites_are_shown_side_by_side(opened: Page) -> None:
    assert names(opened) == [name.replace("_", " ") for name in list(COMPOSITES)[:4]]


def test_each_column_shows_time_account_and_maximum(opened: Page, service: Service) -> None:
    for column, name in zip(opened.locator(".column").all(), COMPOSITES, strict=False):
        answer = service.explain("cat", composite=name, target="cat")
        text = column.locator("p").first.inner_text()
        assert " ms · " in text
        sums = [answer["conservation"][sign] for sign in ("positive", "negative")]
        assert "for {:+.2f}, against {:+.2f}".format(*sums).replace("-", "−") in text
        largest = float(text.rpartition(" ")[2])
        assert largest == pytest.approx(answer["bound"], rel=5e-3)


def bound_shown(place: Page | Locator) -> float:
    return float(place.locator(".scale span").last.inner_text().split()[0])


def test_methods_have_scales_of_their_own(opened: Page, service: Service) -> None:
    bounds = [service.explain("cat", composite=name)["bound"] for name in list(COMPOSITES)[:4]]
    expect(opened.locator("#scales")).to_contain_text("Each method on a scale of its own")
    expect(opened.locator(".column .scale")).to_have_count(4)
    for column, bound in zip(opened.locator(".column").all(), bounds, strict=True):
        assert bound_shown(column) == pytest.approx(bound, rel=5e-3)
    opened.get_by_label("Each on its own scale").uncheck()
    expect(opened.locator("#scales")).to_contain_text("All methods on one scale")
    expect(opened.locator(".scale")).to_have_count(1)
    assert bound_shown(opened) == pytest.approx(max(bounds), rel=5e-3)
    opened.reload()  # the address has it
    expect(opened.locator("#scales")).to_contain_text("All methods on one scale")


def test_classes_share_a_scale(server: RunningServer, page: Page, service: Service) -> None:
    page.goto(f"{server.url}/?view=compare&by=classes&columns=cat|ship")
    expect(page.locator(".column .map canvas")).to_have_count(2)
    bounds = [service.explain("cat", target=name)["bound"] for name in ("cat", "ship")]
    expect(page.locator("#scales")).to_contain_text("All classes on one scale")
    expect(page.locator(".scale")).to_have_count(1)
    assert bound_shown(page) == pytest.approx(max(bounds), rel=5e-3)
    page.get_by_label("Each on its own scale").check()
    expect(page.locator(".column .scale")).to_have_count(2)


def test_no_method_is_blank(opened: Page) -> None:
    opened.get_by_role("button", name="All").click()
    expect(opened.locator(".column .map canvas")).to_have_count(N_METHODS)
    for i in range(N_METHODS):
        # full colour for the largest relevance, on white
        assert np.ptp(drawn(opened, i).astype(int), axis=2).max() > 200


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


def test_all_columns_can_be_removed_and_others_added(opened: Page) -> None:
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
    likeliest = [one["label"] for one in service.explain("cat", top_k="3")["predictions"]]
    assert names(opened) == likeliest
    opened.get_by_label("Add a column").select_option("ship")
    expect(opened.locator(".column .map canvas")).to_have_count(4)
    text = opened.locator(".column p").nth(6).inner_text()
    bound = service.explain("cat", target="ship")["bound"]
    assert float(text.rpartition(" ")[2]) == pytest.approx(bound, rel=5e-3)


def test_a_column_shows_the_number_of_a_pixel(opened: Page, service: Service) -> None:
    opened.locator(".column .map").nth(1).focus()
    opened.keyboard.press("ArrowDown")
    readout = opened.locator(".column").nth(1).locator(".readout")
    expect(readout).to_contain_text("Row 17, column 16")
    value = float(readout.get_attribute("data-value") or "nan")
    relevance = service.relevance("cat", composite=list(COMPOSITES)[1], target="cat")
    assert value == pytest.approx(float(relevance[17, 16]), rel=1e-4)


def settings_of(page: Page, i: int) -> Locator:
    column = page.locator(".column").nth(i)
    column.get_by_text("Parameters").click()
    return column.locator("details")


def test_a_column_has_its_own_parameters(opened: Page, service: Service) -> None:
    opened.get_by_label("Add a column").select_option("epsilon_gamma_box")
    expect(opened.locator(".column")).to_have_count(5)
    settings_of(opened, 4).get_by_label("gamma").fill("2")
    opened.keyboard.press("Enter")
    expect(opened.locator(".column h3").nth(4)).to_have_text("epsilon gamma box, gamma 2")
    answer = service.explain("cat", composite="epsilon_gamma_box", gamma="2", target="cat")
    text = opened.locator(".column").nth(4).locator("p").first.inner_text()
    assert float(text.rpartition(" ")[2]) == pytest.approx(answer["bound"], rel=5e-3)
    expect(opened.locator("details").nth(4)).to_have_attribute("open", "")  # to try another


def test_one_method_is_shown_with_different_parameters(opened: Page) -> None:
    settings_of(opened, 0).get_by_label("zero bias").check()
    expect(opened.locator(".column h3").first).to_have_text("epsilon plus flat, zero bias true")
    opened.get_by_label("Add a column").select_option("epsilon_plus_flat")
    expect(opened.locator(".column")).to_have_count(5)
    texts = [opened.locator(".column").nth(i).locator("p").first.inner_text() for i in (0, 4)]
    assert texts[0].rpartition("·")[2] != texts[1].rpartition("·")[2]
    opened.reload()  # the address has it
    expect(opened.locator(".column h3").first).to_have_text("epsilon plus flat, zero bias true")
    expect(opened.locator(".column h3").last).to_have_text("epsilon plus flat")


def test_a_default_is_not_in_the_title(opened: Page) -> None:
    settings_of(opened, 0).get_by_label("zero bias").check()
    expect(opened.locator(".column h3").first).to_have_text("epsilon plus flat, zero bias true")
    opened.locator("details").first.get_by_label("zero bias").uncheck()
    expect(opened.locator(".column h3").first).to_have_text("epsilon plus flat")


def test_a_value_that_is_not_allowed_changes_nothing(opened: Page) -> None:
    epsilon = settings_of(opened, 0).get_by_label("epsilon")
    epsilon.fill("-1")
    epsilon.blur()
    assert not epsilon.evaluate("input => input.checkValidity()")
    assert names(opened)[0] == "epsilon plus flat"
    expect(opened.locator(".column")).to_have_count(4)


def test_an_attributor_has_its_parameters(opened: Page) -> None:
    opened.get_by_label("Add a column").select_option("~integrated_gradients")
    expect(opened.locator(".column")).to_have_count(5)
    settings_of(opened, 4).get_by_label("baseline").select_option("black")
    expect(opened.locator(".column h3").nth(4)).to_have_text("integrated gradients, baseline black")


def test_ids_are_unique_with_all_parameters_shown(opened: Page) -> None:
    for i in range(4):
        if opened.locator(".column").nth(i).locator("details").count():
            settings_of(opened, i)
    ids: list[str] = opened.evaluate("[...document.querySelectorAll('[id]')].map(one => one.id)")
    assert len(ids) == len(set(ids))


def test_composites_of_the_bundle_are_offered(page: Page, card: ModelCard, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(SHIPPED / DEFAULT_MODEL, tmp_path / "bundle"))
    mine = [{"layers": "type:linear", "rule": "epsilon"}]
    labels = ("a|b", "50%7C", "<b>;'", *card.labels[3:])  # of any signs
    write_card(bundle, card.model_copy(update={"composites": {"mine": mine}, "labels": labels}))
    with running_server(tmp_path, {"LRPSERVE_MODEL": str(bundle)}) as server:
        page.goto(f"{server.url}/?view=compare&columns=mine|epsilon_plus")
        expect(page.locator(".column")).to_have_count(2)
        assert names(page) == ["mine", "epsilon plus"]
        page.goto(server.url)
        page.get_by_label("Composite").select_option("mine")
        expect(page.locator("#classes")).to_be_visible()
        expect(page.locator("#controls")).to_contain_text("Rules from the model's bundle")
        expect(page.get_by_role("heading", name="Why")).to_be_visible()
        page.goto(f"{server.url}/?view=compare&by=classes")
        expect(page.locator(".column")).to_have_count(3)
        shown = names(page)
        for label in labels[:2]:
            page.get_by_label("Add a column").select_option(label)
            shown.append(label)
            expect(page.locator(".column")).to_have_count(len(shown))
        assert labels[2] in shown
        assert names(page) == shown
        page.reload()
        expect(page.locator(".column")).to_have_count(len(shown))
        assert names(page) == shown
        expect(page.locator("[aria-busy]")).to_have_count(0)
        page.goto("about:blank")  # before the server is gone


def test_a_failing_column_leaves_the_others_and_can_be_corrected(
    server: RunningServer, lenient_page: Page
) -> None:
    page = lenient_page
    page.goto(f"{server.url}/?view=compare&columns=epsilon_plus;epsilon=-5|none")
    failing = page.locator(".column").first
    expect(failing.locator(".problem")).to_contain_text("epsilon")
    expect(page.locator(".column").nth(1).locator("p").first).to_contain_text(" ms ")
    settings_of(page, 0).get_by_label("epsilon").fill("0.5")
    page.keyboard.press("Enter")
    expect(page.locator(".problem")).to_have_count(0)
    expect(failing.locator("h3")).to_have_text("epsilon plus, epsilon 0.5")


def test_maps_too_weak_to_be_seen_are_counted(opened: Page) -> None:
    opened.get_by_label("Each on its own scale").uncheck()
    assert opened.locator("#weak").count() == 0
    opened.get_by_label("Add a column").select_option("~occlusion")
    expect(opened.locator("#weak")).to_have_text("4 of 5 are too weak to be seen on this scale.")


def test_the_title_names_the_contrast(server: RunningServer, page: Page) -> None:
    page.goto(f"{server.url}/?view=compare&contrast=label:dog")
    expect(page.locator("#view h2")).to_contain_text("“cat” rather than “dog”")


def test_a_cached_explanation_has_no_compute_time(page: Page, tmp_path: Path) -> None:
    with running_server(tmp_path, {"LRPSERVE_CACHE_BYTES": "10000000"}) as server:
        for told in (" ms ", "from the cache "):
            page.goto(f"{server.url}/?view=compare&columns=epsilon_plus")
            expect(page.locator(".column p").first).to_contain_text(told)
        page.goto("about:blank")


def test_a_failure_common_to_all_columns_is_shown_once(
    server: RunningServer, lenient_page: Page
) -> None:
    page = lenient_page
    page.goto(f"{server.url}/?view=compare&target=label:dog&contrast=label:dog")
    expect(page.locator(".problem")).to_have_count(1)
    expect(page.locator(".problem")).to_contain_text("contrast")
    page.get_by_label("… rather than").select_option("cat")
    expect(page.locator(".problem")).to_have_count(0)
    expect(page.locator(".column .map canvas")).to_have_count(4)


def test_removing_a_column_keeps_the_focus_in_the_view(opened: Page) -> None:
    opened.get_by_label("Remove epsilon plus", exact=True).focus()
    opened.keyboard.press("Enter")
    expect(opened.locator(".column")).to_have_count(3)
    expect(opened.locator("#view")).to_be_focused()
