"""A model of many classes, and one of many layers: all of them can still be reached."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from playwright.sync_api import Page, expect

from service.models.architectures import MiniVGG
from service.models.bundles import write_bundle
from service.models.card import ModelCard
from tests.servers import RunningServer, running_server
from tests.web.conftest import Service

N_CLASSES = 40
LABELS = [f"kind {i}" for i in range(N_CLASSES)]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, card: ModelCard) -> Iterator[RunningServer]:
    """A server of a model of many classes; that it knows nothing is no matter here."""
    folder = tmp_path_factory.mktemp("many")
    torch.manual_seed(0)
    changes = {"labels": tuple(LABELS), "confusion": {}, "history": ()}
    model = MiniVGG(num_classes=N_CLASSES).eval()
    write_bundle(folder / "bundle", card.model_copy(update=changes), model)
    with running_server(folder, {"LRPSERVE_MODEL": str(folder / "bundle")}) as running:
        yield running


def test_any_class_can_be_explained(many: RunningServer, page: Page) -> None:
    answer = Service(many.url).explain("cat", top_k="40")
    labels = [one["label"] for one in answer["predictions"]]
    page.goto(many.url)
    bars = page.locator("#classes button")
    expect(bars).to_have_count(10)
    page.get_by_label("Why", exact=True).select_option(labels[-1])
    expect(page.locator("#view h2").first).to_have_text(f"Why “{labels[-1]}”?")
    expect(bars).to_have_count(11)
    assert [bar.inner_text().split("\n")[0] for bar in bars.all()] == [*labels[:10], labels[-1]]
    expect(bars.last).to_have_attribute("aria-pressed", "true")


def test_the_likeliest_classes_are_compared_at_once(many: RunningServer, page: Page) -> None:
    answer = Service(many.url).explain("cat", top_k="10")
    page.goto(f"{many.url}/?view=compare&by=classes")
    expect(page.locator(".column")).to_have_count(3)
    expect(page.get_by_role("button", name="All")).to_have_count(0)
    page.get_by_role("button", name="The 10 likeliest").click()
    expect(page.locator(".column")).to_have_count(10)
    names = page.locator(".column h3").all_inner_texts()
    assert names == [one["label"] for one in answer["predictions"]]
    expect(page.locator("[aria-busy]")).to_have_count(0)
