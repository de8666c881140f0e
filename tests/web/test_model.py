"""The view of the model: its card, its errors, and how its training went."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import httpx
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from numpy.typing import NDArray
from playwright.sync_api import Browser, Page, Response, expect

from service.models.card import ModelCard, read_card, write_card
from service.models.registry import SHIPPED
from service.settings import DEFAULT_MODEL
from tests.helpers.evidence import evidence_fields
from tests.helpers.servers import RunningServer, running_server
from tests.web.pictures import pixels

N_EPOCHS = 12
FIRST_EPOCH = 5  # that a history begins with the first one is nowhere said
NO_EVIDENCE = {"evidence": None, "default_method": None}
END = "box => box.scrollWidth - box.clientWidth"
SCHEMES: list[Literal["light", "dark"]] = ["light", "dark"]


def epoch(n: int) -> dict[str, Any]:
    return {
        "epoch": FIRST_EPOCH + n - 1,
        "training_loss": 2 / n,
        "validation_loss": 1.5 / n,
        "validation_accuracy": 1 - 0.5 / n,
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of a model that knows how its training went, and of one that does not."""
    folder = tmp_path_factory.mktemp("trained")
    evidence = {"evidence": evidence_fields(), "default_method": {"composite": "epsilon_gamma_box"}}
    for name, n_epochs, kept in (("trained", N_EPOCHS, evidence), ("untold", 0, NO_EVIDENCE)):
        bundle = Path(shutil.copytree(SHIPPED / DEFAULT_MODEL, folder / "models" / name))
        history = [epoch(n + 1) for n in range(n_epochs)]
        fields = read_card(bundle).model_dump() | {"name": name, "history": history} | kept
        write_card(bundle, ModelCard.model_validate(fields))
    settings = {"LRPSERVE_MODELS": str(folder / "models"), "LRPSERVE_MODEL": "trained"}
    with running_server(folder, settings) as running:
        yield running


def test_the_card_of_the_model(server: RunningServer, page: Page, card: ModelCard) -> None:
    page.goto(f"{server.url}/?view=model")
    view = page.locator("#view")
    expect(view).to_contain_text(card.sha256)
    expect(view).to_contain_text(f"{card.accuracy['test'].accuracy:.2%} of 10,000 images")
    expect(view).to_contain_text("truck")
    expect(view).to_contain_text("muon")
    expect(view).to_contain_text("features.11")


def test_the_confusion_matrix_is_the_bundles(
    server: RunningServer, page: Page, card: ModelCard
) -> None:
    page.goto(f"{server.url}/?view=model")
    rows = page.locator("#confusion tbody tr")
    expect(rows).to_have_count(len(card.labels))
    for label, counts, row in zip(card.labels, card.confusion["test"], rows.all(), strict=True):
        told = row.locator("th, td").all_inner_texts()
        assert told == [label, *(str(n) if n else "·" for n in counts)]
    share = card.confusion["test"][3][5] / sum(card.confusion["test"][3])
    cell = rows.nth(3).locator("td").nth(5)
    expect(cell).to_have_attribute("title", f"cat classified as dog: {share:.0%}")


def test_right_and_wrong_classes_have_different_colours(server: RunningServer, page: Page) -> None:
    page.goto(f"{server.url}/?view=model")
    cells = page.locator("#confusion tbody tr").nth(3).locator("td")
    colors = [cells.nth(i).evaluate("c => getComputedStyle(c).backgroundColor") for i in (3, 5, 8)]
    assert len(set(colors)) == 3


def test_the_shipped_model_shows_how_it_was_trained(
    server: RunningServer, page: Page, card: ModelCard
) -> None:
    page.goto(f"{server.url}/?view=model")
    curves = page.locator("#curves")
    expect(curves.locator("svg")).to_have_attribute("aria-label", "Curves of 32 epochs")
    expect(curves.locator(".key.accuracy")).to_contain_text(
        f"{card.accuracy['validation'].accuracy:.0%}"
    )


def test_without_a_history_there_are_no_curves(trained: RunningServer, page: Page) -> None:
    page.goto(f"{trained.url}/?view=model&model=untold")
    expect(page.locator("#confusion")).to_be_visible()
    assert page.locator("#curves").count() == 0


def test_curves_are_those_of_the_history(trained: RunningServer, page: Page) -> None:
    page.goto(f"{trained.url}/?view=model")
    expect(page.locator("#curves svg")).to_have_attribute(
        "aria-label", f"Curves of {N_EPOCHS} epochs"
    )
    for style, last in (("training", "0.167"), ("validation", "0.125"), ("accuracy", "96%")):
        line = page.locator(f"#curves .line.{style}").get_attribute("d") or ""
        assert line.count("L") == N_EPOCHS - 1
        expect(page.locator(f"#curves .key.{style}")).to_contain_text(last)
    first, *_, end = (page.locator("#curves .line.training").get_attribute("d") or "")[1:].split(
        "L"
    )
    heights = [float(point.split()[1]) for point in (first, end)]
    assert (first.split()[0], end.split()[0]) == ("44.0", "472.0")
    assert page.locator("#curves text").all_text_contents()[-2:] == ["epoch 5", "16"]
    # the largest loss is at the top; the last one is a twelfth of it, above the axis
    assert heights[0] == pytest.approx(10, abs=0.2)
    assert heights[1] == pytest.approx(192 - 182 / N_EPOCHS, abs=0.2)


def edges(page: Page) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The left and the right edge of the confusion matrix as they are seen, above its cells."""
    shown = pixels(page.get_by_role("region", name="Confusion matrix").screenshot())[5:30]
    return shown[:, 1], shown[:, -2]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_shadow_shows_where_the_matrix_scrolls(
    server: RunningServer, browser: Browser, scheme: Literal["light", "dark"]
) -> None:
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": 360, "height": 800}, reduced_motion="reduce"
    )
    page = context.new_page()
    page.goto(f"{server.url}/?view=model")
    matrix = page.get_by_role("region", name="Confusion matrix")
    card = np.array({"light": (255, 255, 255), "dark": (25, 28, 34)}[scheme])
    left, right = (np.abs(edge.astype(int) - card).max() for edge in edges(page))
    assert left == 0
    assert right > 30
    matrix.focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    expect(matrix).to_have_js_property("scrollLeft", matrix.evaluate(END))
    matrix.blur()
    left, right = (np.abs(edge.astype(int) - card).max() for edge in edges(page))
    assert left > 30
    assert right == 0
    context.close()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_no_violation(
    trained: RunningServer, browser: Browser, scheme: Literal["light", "dark"]
) -> None:
    context = browser.new_context(color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    page.goto(f"{trained.url}/?view=model")
    expect(page.locator("#curves")).to_be_visible()
    found = Axe().run(page).response["violations"]
    context.close()
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []


@pytest.mark.parametrize("width", [360, 768, 1440])
def test_the_view_fits_the_window(trained: RunningServer, page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(f"{trained.url}/?view=model")
    expect(page.locator("#curves")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_evidence_is_a_table_of_methods_with_intervals(trained: RunningServer, page: Page) -> None:
    page.goto(f"{trained.url}/?view=model")
    table = page.locator("#faithfulness table")
    rows = table.locator("tbody tr")
    expect(table.locator("caption")).to_have_text("Area between both curves. Higher is better.")
    expect(rows).to_have_count(3)
    assert rows.nth(0).locator("th, td").all_inner_texts() == [
        "epsilon gamma box (best, or not significantly different)",
        *("0.500", "0.450 to 0.550", "1,000"),
    ]
    assert rows.nth(2).locator("th, td").all_inner_texts() == [
        *("random (baseline)", "−0.010", "−0.060 to 0.040", "1,000"),
    ]
    page.get_by_label("Measure").select_option("sparseness")
    expect(table.locator("caption")).to_have_text("Gini index.")
    expect(rows.nth(0)).to_contain_text("0.300 to 0.500")
    page.goto(f"{trained.url}/?view=model&model=untold")
    expect(page.locator("#view")).to_contain_text("Provenance")
    expect(page.locator("#faithfulness")).to_have_count(0)


def test_the_models_own_method_is_the_default(trained: RunningServer, page: Page) -> None:
    page.goto(f"{trained.url}/?view=model")
    expect(page.locator("#view")).to_contain_text("Default methodepsilon gamma box")
    page.goto(f"{trained.url}/?view=explain&sample=cat")
    expect(page.get_by_label("Composite")).to_have_value("epsilon_gamma_box")
    page.goto(f"{trained.url}/?view=explain&sample=cat&composite=epsilon_plus")
    expect(page.get_by_label("Composite")).to_have_value("epsilon_plus")
    page.goto(f"{trained.url}/?view=explain&sample=cat&model=untold")
    expect(page.get_by_label("Composite")).to_have_value("epsilon_plus_flat")


@pytest.mark.parametrize("view", ["explain", "layers"])
def test_the_page_explains_with_it(trained: RunningServer, page: Page, view: str) -> None:
    def is_explained(response: Response) -> bool:
        return response.request.method == "POST" and "/explain" in response.url

    with page.expect_response(is_explained) as explained:
        page.goto(f"{trained.url}/?view={view}&sample=cat")
    assert explained.value.json()["method"]["composite"] == "epsilon_gamma_box"


def test_a_comparison_begins_with_it(trained: RunningServer, page: Page) -> None:
    page.goto(f"{trained.url}/?view=compare&sample=cat")
    columns = page.locator(".column h3")
    shown = ["epsilon gamma box", "epsilon plus flat", "epsilon plus", "epsilon alpha2 beta1"]
    expect(columns).to_have_text(shown)
    page.goto(f"{trained.url}/?view=compare&sample=cat&model=untold")
    expect(columns.first).to_have_text("epsilon plus flat")


def test_explain_says_which_method_it_used(trained: RunningServer, cat: Path) -> None:
    def used(**options: str) -> str:
        with httpx.Client(base_url=trained.url, timeout=60) as client:
            content = client.post("/explain", data=options, files={"image": cat.read_bytes()})
        composite: str = content.json()["method"]["composite"]
        return composite

    assert used() == "epsilon_gamma_box"
    assert used(composite="epsilon_plus") == "epsilon_plus"
    assert used(model="untold") == "epsilon_plus_flat"
    with httpx.Client(base_url=trained.url) as client:
        info = client.get("/models/trained").json()
    assert info["default_method"] == {"composite": "epsilon_gamma_box", "attributor": None}
    assert info["evidence"]["methods"]["random"]["gap"]["mean"] == -0.01
