"""A model of many classes, and one of many layers: all of them can still be reached."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from playwright.sync_api import Page, expect

from service.models.architectures import MiniVGG, build
from service.models.bundles import write_bundle
from service.models.card import ModelCard
from tests.helpers.servers import RunningServer, running_server
from tests.web.conftest import Service

N_CLASSES = 40
LABELS = [f"kind {i}" for i in range(N_CLASSES)]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, card: ModelCard) -> Iterator[RunningServer]:
    """A server of a model of many classes; it is not trained."""
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


def test_the_most_probable_classes_are_compared_at_once(many: RunningServer, page: Page) -> None:
    answer = Service(many.url).explain("cat", top_k="10")
    page.goto(f"{many.url}/?view=compare&by=classes")
    expect(page.locator(".column")).to_have_count(3)
    expect(page.get_by_role("button", name="All")).to_have_count(0)
    page.get_by_role("button", name="The 10 most probable").click()
    expect(page.locator(".column")).to_have_count(10)
    names = page.locator(".column h3").all_inner_texts()
    assert names == [one["label"] for one in answer["predictions"]]
    expect(page.locator("[aria-busy]")).to_have_count(0)


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory, card: ModelCard) -> Iterator[RunningServer]:
    """A server of a model of many layers, some of which have long names."""
    folder = tmp_path_factory.mktemp("deep")
    torch.manual_seed(0)
    model = build("resnet18", len(card.labels))
    model(torch.randn(2, 3, 32, 32))  # its norms need something to go by
    changes = {"architecture": "resnet18", "confusion": {}, "history": ()}
    write_bundle(folder / "bundle", card.model_copy(update=changes), model.eval())
    with running_server(folder, {"LRPSERVE_MODEL": str(folder / "bundle")}) as running:
        yield running


LINES = """title => {
  const [range, lines] = [document.createRange(), new Map()];
  for (const node of title.childNodes) {
    for (let i = 0; i < (node.data ?? "").length; i += 1) {
      range.setStart(node, i);
      range.setEnd(node, i + 1);
      const { top } = range.getBoundingClientRect();
      lines.set(top, (lines.get(top) ?? "") + node.data[i]);
    }
  }
  return [...lines.values()];
}"""


def test_many_layers_fit_on_a_phone(deep: RunningServer, page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 800})
    page.goto(f"{deep.url}/?view=layers")
    expect(page.locator("#flow")).to_be_visible()
    assert page.locator("#layers h3").count() > 40
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    title = page.get_by_role("heading", name="layer2.0.downsample.0", exact=True)
    lines: list[str] = title.evaluate(LINES)
    assert lines == ["layer2.0.", "downsample.0"]
    for row in page.locator("#flow > div").all():
        name, bar, amount = (row.locator(f"> :nth-child({i})").bounding_box() for i in (1, 2, 3))
        assert name
        assert bar
        assert amount
        assert name["x"] + name["width"] <= bar["x"]
        assert 1 < bar["width"] <= amount["x"] - bar["x"]
    page.goto("about:blank")
