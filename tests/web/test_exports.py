"""Downloads, and code that runs as it is pasted."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Download, Page, expect

from tests.helpers.servers import RunningServer
from tests.helpers.tools import find_tool
from tests.web.conftest import ROOT, Service
from tests.web.pictures import pixels

QUERY = "?sample=horse&target=label:dog&composite=epsilon_plus&epsilon=0.5&zero_bias=true"
OPTIONS = {
    "target": "label:dog",
    "composite": "epsilon_plus",
    "epsilon": "0.5",
    "zero_bias": "true",
}


@pytest.fixture
def opened(server: RunningServer, page: Page) -> Page:
    page.goto(f"{server.url}/{QUERY}")
    expect(page.locator("#downloads")).to_be_visible()
    return page


def download(page: Page, text: str) -> tuple[Download, bytes]:
    with page.expect_download() as waiting:
        page.get_by_role("button", name=text).click()
    return waiting.value, Path(waiting.value.path()).read_bytes()


def test_downloaded_contours_are_the_services(opened: Page, service: Service) -> None:
    file, content = download(opened, "Contours (PNG)")
    assert file.suggested_filename == "horse.contours.png"
    contours = {"output": "overlay", "overlay_style": "contours"}
    asked = {**contours, **OPTIONS, "size": "512", "color_bar": "true"}
    sent = service.request("horse", "image/png", **asked).content
    assert np.array_equal(pixels(content), pixels(sent))


def test_the_downloaded_array_is_the_services(opened: Page, service: Service) -> None:
    file, content = download(opened, "Relevance (.npy)")
    assert file.suggested_filename == "horse.npy"
    relevance = service.relevance("horse", **OPTIONS)
    assert np.array_equal(np.load(io.BytesIO(content)), relevance)


def test_the_downloaded_json_has_everything(opened: Page) -> None:
    _, content = download(opened, "Everything (JSON)")
    answer = json.loads(content)
    assert answer["target"]["label"] == "dog"
    assert {"heatmap", "overlay", "relevance"} < set(answer)


def code(page: Page, language: str) -> str:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name=f"Copy as {language}", exact=True).click()
    expect(page.get_by_text("Copied.")).to_be_visible()
    copied: str = page.evaluate("navigator.clipboard.readText()")
    return copied


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def total(service: Service) -> float:
    return float(service.relevance("horse", **OPTIONS).sum(dtype=np.float64))


def test_curl_runs_as_pasted(opened: Page, service: Service, tmp_path: Path) -> None:
    answer = json.loads(run(["bash", "-c", code(opened, "curl")], tmp_path))
    assert answer["target"]["label"] == "dog"
    assert answer["method"]["composite"] == "epsilon_plus"
    assert answer["conservation"]["arrived"] == pytest.approx(total(service), rel=1e-3)


def test_python_runs_as_pasted(opened: Page, service: Service, tmp_path: Path) -> None:
    label, *shape, found = run([sys.executable, "-c", code(opened, "Python")], tmp_path).split()
    assert label == "dog"
    assert " ".join(shape) == "(32, 32)"
    assert float(found) == pytest.approx(total(service), rel=1e-3)


def test_javascript_runs_as_pasted(opened: Page, service: Service) -> None:
    pasted = code(opened, "JavaScript")
    with opened.expect_console_message() as line:
        opened.evaluate(f"async () => {{ {pasted} }}")
    label, _, found = (handle.json_value() for handle in line.value.args)
    assert label == "dog"
    assert found == pytest.approx(total(service), rel=1e-3)


@pytest.fixture
def own(opened: Page, tmp_path: Path) -> Path:
    """A folder with an image of the visitor's own, whose name a shell would trip over."""
    file = tmp_path / 'it\'s a "horse".jpg'
    shutil.copy(ROOT / "docs" / "horse.jpg", file)
    opened.set_input_files("#file", file)
    expect(opened.locator("#note")).to_contain_text("own")
    expect(opened.locator("#view h2").first).to_have_text("Why “horse”?")
    return tmp_path


def test_curl_runs_on_a_file(opened: Page, own: Path) -> None:
    answer = json.loads(run(["bash", "-c", code(opened, "curl")], own))
    assert answer["target"]["label"] == "horse"


def test_python_runs_on_a_file(opened: Page, own: Path) -> None:
    assert run([sys.executable, "-c", code(opened, "Python")], own).startswith("horse (32, 32)")


def test_javascript_runs_on_a_file(opened: Page, own: Path) -> None:
    pasted = code(opened, "JavaScript")
    found = run(
        [find_tool("node", "nodejs"), "--no-warnings", "--input-type=module", "--eval", pasted], own
    )
    assert found.startswith("horse [ 32, 32 ]")
