"""The view of one explanation, as a visitor uses it."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, expect

from service.imaging.colormaps import COLORMAPS
from service.methods import ATTRIBUTORS, COMPOSITES
from tests.helpers.servers import RunningServer
from tests.web.conftest import ROOT, SAMPLES, Service
from tests.web.pictures import drawn

PHONE = ViewportSize(width=390, height=844)
HORSE = ROOT / "docs" / "horse.jpg"


@pytest.fixture
def opened(server: RunningServer, page: Page) -> Page:
    page.goto(server.url)
    expect(page.locator("#classes")).to_be_visible()
    return page


def title(page: Page) -> str:
    return page.locator("#view h2").first.inner_text()


def options_in_address(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def test_a_sample_is_explained_at_once(opened: Page, service: Service) -> None:
    answer = service.explain("cat")
    assert title(opened) == f"Why “{answer['target']['label']}”?"
    shown = opened.locator("#classes button").all_inner_texts()
    assert [text.split("\n")[0] for text in shown] == [
        p["label"] for p in answer["predictions"]
    ] + [text.split("\n")[0] for text in shown[5:]]
    assert len(shown) == 10


@pytest.mark.parametrize(("row", "column"), [(0, 0), (9, 7), (31, 31)])
def test_the_number_under_the_pointer_is_the_services(
    opened: Page, service: Service, row: int, column: int
) -> None:
    place = opened.locator(".map").bounding_box()
    assert place is not None
    x, y = ((i + 0.5) / 32 for i in (column, row))
    opened.mouse.move(place["x"] + x * place["width"], place["y"] + y * place["height"])
    readout = opened.locator("#readout")
    expect(readout).to_have_attribute("data-row", str(row))
    expect(readout).to_have_attribute("data-column", str(column))
    value = float(readout.get_attribute("data-value") or "nan")
    expected = float(service.relevance("cat")[row, column])
    assert value == expected
    told = float(readout.inner_text().rpartition(" ")[2].replace("−", "-"))
    assert told == pytest.approx(expected, rel=5e-3)


def test_arrow_keys_read_pixels_too(opened: Page, service: Service) -> None:
    opened.locator(".map").focus()
    opened.keyboard.press("ArrowRight")
    opened.keyboard.press("ArrowUp")
    readout = opened.locator("#readout")
    expect(readout).to_contain_text("Row 15, column 17")
    value = float(readout.get_attribute("data-value") or "nan")
    assert value == float(service.relevance("cat")[15, 17])


def test_the_scale_and_the_conservation_are_those_of_the_response(
    opened: Page, service: Service
) -> None:
    answer = service.explain("cat")
    ends = opened.locator(".scale span").all_inner_texts()
    assert float(ends[2].split()[0]) == pytest.approx(answer["bound"], rel=5e-3)
    assert float(ends[0].split()[0].replace("−", "-")) == -float(ends[2].split()[0])
    expect(opened.locator("#account")).to_have_text(account_of(answer, "score"))


def account_of(answer: dict[str, Any], total: str, decimals: int = 2) -> str:
    """The account in the page's words."""
    conservation, label = answer["conservation"], answer["target"]["label"]
    contrast = answer["method"]["contrast"]
    subject = f"“{label}”" + (f" rather than “{contrast}”" if contrast else "")
    numbers = {
        name: f"{conservation[name]:+.{decimals}f}" for name in ("positive", "negative", "absorbed")
    }
    numbers["start"] = f"{conservation['start']:.{decimals}f}"
    positive, negative, absorbed, start = (text.replace("-", "−") for text in numbers.values())
    sides = f"Speaks for {subject} {positive}, against {negative}"
    return f"{sides}, biases {absorbed}: {total} {start}."


def test_the_account_of_a_negative_score(opened: Page, service: Service) -> None:
    answer = service.explain("cat", target="ship")
    assert answer["conservation"]["start"] == pytest.approx(answer["target"]["logit"])
    assert answer["target"]["logit"] < 0
    opened.locator("#classes button", has_text="ship").click()
    expect(opened.locator("#account")).to_have_text(account_of(answer, "score"))


def test_the_start_can_be_chosen_and_is_told(opened: Page, service: Service) -> None:
    expect(opened.locator("#start")).to_have_text(
        "Relevance started with the score (logit), the default of this method."
    )
    control = opened.get_by_label("start", exact=True)
    expect(control.locator("option").first).to_have_text("default of the method: logit")
    control.select_option("one_hot")
    expect(opened.locator("#start")).to_contain_text("1 (one hot); the default")
    total = "the relevance at the output (one hot),"
    answer = service.explain("cat", start="one_hot")
    expect(opened.locator("#account")).to_have_text(account_of(answer, total, decimals=3))
    assert options_in_address(opened)["start"] == ["one_hot"]
    opened.locator("#classes button", has_text="ship").click()
    expect(opened.locator("#start")).to_contain_text("turns the signs")
    opened.get_by_label("start", exact=True).select_option("")
    expect(opened.locator("#start")).to_contain_text("the default of this method.")
    assert "start" not in options_in_address(opened)


def test_a_method_that_does_not_conserve_has_no_account(server: RunningServer, page: Page) -> None:
    page.goto(f"{server.url}/?composite=guided_backprop")
    expect(page.locator("#account")).to_contain_text("does not conserve relevance")
    expect(page.locator("#start")).to_contain_text("1 (one hot), the default")
    page.goto(f"{server.url}/?attributor=occlusion")
    expect(page.locator("#account")).to_contain_text("does not conserve relevance")
    expect(page.locator("#start")).to_have_count(0)


def test_a_file_is_explained(opened: Page) -> None:
    opened.set_input_files("#file", HORSE)
    expect(opened.locator("#view h2").first).to_have_text("Why “horse”?")
    expect(opened.locator("#note")).to_contain_text("horse.jpg")
    assert options_in_address(opened)["sample"] == ["own"]


HAND_OVER = """([kind, data]) => {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], "handed.jpg", { type: "image/jpeg" }));
  const event = kind === "paste"
    ? new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true })
    : new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true });
  document.body.dispatchEvent(event);
}"""


@pytest.mark.parametrize("kind", ["paste", "drop"])
def test_an_image_can_be_pasted_or_dropped(opened: Page, kind: str) -> None:
    data = base64.b64encode(HORSE.read_bytes()).decode()
    if kind == "drop":
        opened.evaluate(HAND_OVER, ["dragover", data])
        expect(opened.locator("#dropping")).to_be_visible()
    opened.evaluate(HAND_OVER, [kind, data])
    expect(opened.locator("#view h2").first).to_have_text("Why “horse”?")
    expect(opened.locator("#dropping")).to_be_hidden()


def test_phones_offer_their_camera(opened: Page) -> None:
    camera = opened.locator("#camera")
    assert camera.get_attribute("capture") == "environment"
    assert camera.get_attribute("accept") == "image/*"


@pytest.mark.parametrize("sample", sorted(path.stem for path in SAMPLES.glob("*.jpg")))
def test_each_sample_can_be_chosen(opened: Page, sample: str) -> None:
    opened.click(f"[data-sample={sample}]")
    expect(opened.locator(f"[data-sample={sample}]")).to_have_attribute("aria-pressed", "true")
    expect(opened.locator("#view h2").first).to_have_text(f"Why “{sample}”?")


def test_a_click_on_a_class_explains_it(opened: Page, service: Service) -> None:
    opened.locator("#classes button", has_text="dog").click()
    expect(opened.locator("#view h2").first).to_have_text("Why “dog”?")
    expect(opened.locator("#classes button", has_text="dog")).to_have_attribute(
        "aria-pressed", "true"
    )
    assert options_in_address(opened)["target"] == ["label:dog"]
    bound = service.explain("cat", target="dog")["bound"]
    shown = opened.locator(".scale span").last.inner_text().split()[0]
    assert float(shown) == pytest.approx(bound, rel=5e-3)


def test_a_class_is_contrasted_with_another(opened: Page, service: Service) -> None:
    opened.get_by_label("… rather than").select_option("dog")
    expect(opened.locator("#view h2").first).to_have_text("Why “cat” rather than “dog”?")
    answer = service.explain("cat", contrast="dog")
    expect(opened.locator("#account")).to_have_text(account_of(answer, "difference of the scores"))


def test_the_slider_fades_the_heatmap(opened: Page) -> None:
    assert np.ptp(drawn(opened), axis=2).max() > 100
    opened.locator("#opacity").fill("0")
    assert np.ptp(drawn(opened), axis=2).max() == 0  # the image in grey
    assert options_in_address(opened)["opacity"] == ["0"]
    assert opened.locator("#opacity").evaluate("slider => slider === document.activeElement")


def test_side_by_side(opened: Page) -> None:
    opened.get_by_label("Side by side").check()
    expect(opened.locator(".map")).to_have_count(2)
    opened.get_by_label("Side by side").uncheck()
    expect(opened.locator(".map")).to_have_count(1)


def test_controls_list_what_the_service_has(opened: Page) -> None:
    def values(label: str) -> list[str]:
        chosen = opened.get_by_label(label, exact=True).locator("option")
        return [option.get_attribute("value") or "" for option in chosen.all()]

    assert values("Composite") == list(COMPOSITES)
    assert values("Attributor") == list(ATTRIBUTORS)
    assert values("Colours") == list(COLORMAPS)


@pytest.mark.parametrize("name", COMPOSITES)
def test_each_composite_has_its_parameters(opened: Page, name: str) -> None:
    opened.get_by_label("Composite", exact=True).select_option(name)
    for parameter in COMPOSITES[name].parameters:
        expect(opened.get_by_label(parameter.name.replace("_", " "), exact=True)).to_be_visible()
    expect(opened.locator("#view")).to_be_visible()


def test_a_link_reproduces_the_view(server: RunningServer, page: Page, service: Service) -> None:
    asked = {"composite": "epsilon_gamma_box", "gamma": "0.5", "target": "label:dog"}
    query = "&".join(f"{name}={value}" for name, value in {**asked, "sample": "horse"}.items())
    page.goto(f"{server.url}/?{query}")
    expect(page.locator("#view h2").first).to_have_text("Why “dog”?")
    expect(page.get_by_label("gamma", exact=True)).to_have_value("0.5")
    bound = service.explain("horse", **asked)["bound"]
    shown = page.locator(".scale span").last.inner_text().split()[0]
    assert float(shown) == pytest.approx(bound, rel=5e-3)


def test_back_returns_to_the_image_before(opened: Page) -> None:
    opened.click("[data-sample=horse]")
    expect(opened.locator("#view h2").first).to_have_text("Why “horse”?")
    opened.set_input_files("#file", SAMPLES / "ship.jpg")
    expect(opened.locator("#view h2").first).to_have_text("Why “ship”?")
    opened.go_back()
    expect(opened.locator("#view h2").first).to_have_text("Why “horse”?")
    opened.go_forward()
    expect(opened.locator("#view h2").first).to_have_text("Why “ship”?")


def test_back_returns_to_the_view_before(server: RunningServer, page: Page) -> None:
    page.goto(f"{server.url}/?sample=horse")
    expect(page.locator("#view h2").first).to_have_text("Why “horse”?")
    page.get_by_role("link", name="Compare").click()
    expect(page.locator(".column").first).to_be_visible()
    page.go_back()
    expect(page.locator("#view h2").first).to_have_text("Why “horse”?")
    page.go_forward()
    expect(page.locator(".column").first).to_be_visible()


def test_a_sample_chosen_again_is_explained_anew(opened: Page) -> None:
    for sample in ("cat", "horse"):
        opened.click(f"[data-sample={sample}]")
        opened.locator("#classes button", has_text="frog").click()
        expect(opened.locator("#view h2").first).to_have_text("Why “frog”?")
        opened.click(f"[data-sample={sample}]")
        expect(opened.locator("#view h2").first).to_have_text(f"Why “{sample}”?")


def test_a_link_to_an_uploaded_image_asks_for_an_image(server: RunningServer, page: Page) -> None:
    page.goto(f"{server.url}/?sample=own")
    expect(page.locator("#note")).to_contain_text("choose one")


def test_a_checkbox_sets_a_parameter(opened: Page) -> None:
    opened.get_by_label("zero bias").check()
    expect(opened.locator("#account")).to_contain_text("biases 0:")
    assert options_in_address(opened)["zero_bias"] == ["true"]
    opened.get_by_label("zero bias").uncheck()
    expect(opened.locator("#account")).not_to_contain_text("biases 0:")


def test_samples_are_of_the_test_set(samples: list[Path]) -> None:
    known = {path.read_bytes() for path in samples}
    assert {path.read_bytes() for path in SAMPLES.glob("*.jpg")} <= known


def test_a_tap_reads_a_pixel(server: RunningServer, browser: Browser, service: Service) -> None:
    context = browser.new_context(has_touch=True, is_mobile=True, viewport=PHONE)
    page = context.new_page()
    page.goto(f"{server.url}/?sample=horse")
    place = page.locator(".map").bounding_box()
    assert place
    page.touchscreen.tap(place["x"] + place["width"] / 2 + 1, place["y"] + place["height"] / 2 + 1)
    readout = page.locator("#readout")
    expect(readout).to_contain_text("Row 16, column 16")
    value = float(readout.get_attribute("data-value") or "nan")
    assert value == pytest.approx(float(service.relevance("horse")[16, 16]), rel=1e-4)
    context.close()


COUNT_READ = """
let nRead = 0;
const read = createImageBitmap;
window.createImageBitmap = (...image) => read(...image).finally(() => {
    nRead += 1;
    document.documentElement.dataset.nRead = String(nRead);
});
"""


def test_an_image_that_loads_late_does_not_replace_a_newer_one(
    server: RunningServer, page: Page, tmp_path: Path
) -> None:
    """The first one is large: it is read later than the second."""
    page.add_init_script(COUNT_READ)
    Image.open(SAMPLES / "horse.jpg").resize((6000, 5000)).save(tmp_path / "large.jpg")
    page.goto(server.url)
    expect(page.locator("#classes")).to_be_visible()
    page.set_input_files("#file", tmp_path / "large.jpg")
    page.click("[data-sample=ship]")
    expect(page.locator("#view h2").first).to_have_text("Why “ship”?")
    expect(page.locator("html")).to_have_attribute("data-n-read", "1", timeout=20_000)
    assert page.url.endswith("?sample=ship")
    expect(page.locator("#view h2").first).to_have_text("Why “ship”?")


def test_an_uploaded_image_has_a_thumbnail(server: RunningServer, page: Page) -> None:
    page.goto(f"{server.url}/?view=compare")
    assert page.locator(".thumbnail").count() == 0
    page.set_input_files("#file", ROOT / "docs" / "horse.jpg")
    expect(page.locator(".thumbnail")).to_be_visible()


@pytest.mark.parametrize("view", ["toString", "constructor", "no such"])
def test_an_unknown_view_is_the_first_one(server: RunningServer, page: Page, view: str) -> None:
    page.goto(f"{server.url}/?view={view}")
    expect(page.locator("#classes")).to_be_visible()


def test_without_an_image_no_old_view_remains(server: RunningServer, page: Page) -> None:
    page.goto(f"{server.url}/?view=model&sample=own")
    expect(page.locator("#view table").first).to_be_visible()
    page.get_by_role("link", name="Explain").click()
    expect(page.locator("#view")).to_be_empty()
    expect(page.locator("#note")).to_contain_text("choose one")
