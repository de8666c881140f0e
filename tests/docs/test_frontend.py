"""`docs/how-to/frontend.md` is true: its code runs in a browser, on another origin."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from service.settings import PREFIX
from tests.helpers.browsers import open_browser
from tests.helpers.pages import Site, serving_site
from tests.helpers.servers import RunningServer, running_server

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "how-to" / "frontend.md").read_text(encoding="utf-8")
HORSE = DOCS / "horse.jpg"
WRITTEN_URL = "http://localhost:8000"
IS_LOADED = "image => image.complete && image.naturalWidth > 0"


def code_of(language: str, word: str = "") -> str:
    found = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    (block,) = [text for text in found if word in text]
    return str(block)


@pytest.fixture(scope="module")
def listed() -> Iterator[Site]:
    with serving_site() as site:
        yield site


@pytest.fixture(scope="module")
def foreign() -> Iterator[Site]:
    with serving_site() as site:
        yield site


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, listed: Site) -> Iterator[RunningServer]:
    settings = {f"{PREFIX}CORS_ORIGINS": listed.origin}
    with running_server(tmp_path_factory.mktemp("service"), settings) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


@pytest.fixture
def console(page: Page) -> list[str]:
    """The messages of the browser's console."""
    found: list[str] = []

    def note(message: ConsoleMessage) -> None:
        found.append(f"{message.type}: {message.text}")

    page.on("console", note)
    page.on("pageerror", lambda error: found.append(str(error)))
    return found


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page()
    yield opened
    opened.close()


def choose(page: Page, site: Site, url: str, *files: Path) -> None:
    """Open the page of the documentation on a site, and choose files one after another."""
    assert WRITTEN_URL in code_of("html")
    site.page = code_of("html").replace(WRITTEN_URL, url)
    page.goto(f"{site.origin}/")
    for file in files:
        page.set_input_files("input[type=file]", file)
        expect(page.locator("#file")).to_be_enabled()


def has_loaded(page: Page, selector: str) -> bool:
    return bool(page.locator(selector).evaluate(IS_LOADED))


# --- the page


def test_the_page_is_short() -> None:
    assert len(code_of("html").splitlines()) <= 40


def test_it_shows_the_classes_and_the_heatmap(
    service: RunningServer, listed: Site, page: Page, console: list[str]
) -> None:
    choose(page, listed, service.url, HORSE)

    expect(page.get_by_role("status")).to_have_text(
        re.compile(r"^horse 9\d\.\d%, \w+ \d\.\d%, \w+ \d\.\d%$")
    )
    for selector in ("#image", "#heatmap"):
        expect(page.locator(selector)).to_be_visible()
        page.wait_for_function(f"({IS_LOADED})(document.querySelector('{selector}'))")
    assert page.locator("#heatmap").bounding_box() == page.locator("#image").bounding_box()
    assert console == []


@pytest.mark.parametrize(
    ("size", "parts"), [((128, 64), (0.25, 0, 0.5, 1)), ((40, 80), (0, 0.25, 1, 0.5))]
)
def test_the_heatmap_lies_on_what_the_network_saw(
    service: RunningServer,
    listed: Site,
    page: Page,
    tmp_path: Path,
    size: tuple[int, int],
    parts: tuple[float, ...],
) -> None:
    Image.open(HORSE).resize(size).save(tmp_path / "other.png")
    choose(page, listed, service.url, tmp_path / "other.png")
    page.wait_for_function(f"({IS_LOADED})(document.querySelector('#image'))")

    image, heatmap = (page.locator(name).bounding_box() for name in ("#image", "#heatmap"))
    assert image
    assert heatmap
    assert image["width"] / image["height"] == pytest.approx(size[0] / size[1], rel=0.01)
    assert [
        (heatmap["x"] - image["x"]) / image["width"],
        (heatmap["y"] - image["y"]) / image["height"],
        heatmap["width"] / image["width"],
        heatmap["height"] / image["height"],
    ] == pytest.approx(parts, abs=0.01)


@pytest.mark.parametrize(
    ("content", "detail"),
    [(b"not an image", "image"), (b"", "the body is empty"), (bytes(10_000_001), "10000000 bytes")],
    ids=["text", "nothing", "too large"],
)
def test_it_shows_the_problem_of_a_file_and_accepts_another(
    service: RunningServer, listed: Site, page: Page, tmp_path: Path, content: bytes, detail: str
) -> None:
    file = tmp_path / "wrong.jpg"
    file.write_bytes(content)
    choose(page, listed, service.url, HORSE, file)

    headers = {"Content-Type": "application/octet-stream"}
    problem = httpx.post(f"{service.url}/explain", content=content, headers=headers).json()[
        "detail"
    ]
    assert detail in problem
    expect(page.get_by_role("status")).to_have_text(problem)
    expect(page.locator("#figure")).to_be_hidden()
    choose(page, listed, service.url, HORSE)
    expect(page.get_by_role("status")).to_contain_text("horse 9")


def test_an_origin_that_is_not_listed_gets_a_message(
    service: RunningServer, foreign: Site, page: Page
) -> None:
    choose(page, foreign, service.url, HORSE)

    expect(page.get_by_role("status")).to_have_text(
        f"{service.url} is down, or does not list {foreign.origin}"
    )
    expect(page.locator("#figure")).to_be_hidden()


# --- the functions


@pytest.fixture
def functions(service: RunningServer, listed: Site, page: Page) -> Page:
    """A page that has the functions of the documentation, and the image `horse`."""
    listed.page = "<!doctype html><meta charset=utf-8><input type=file>" + "".join(
        f"<script>{code}</script>" for code in re.findall(r"```js\n(.*?)```", TEXT, re.DOTALL)
    )
    page.goto(f"{listed.origin}/")
    page.set_input_files("input", HORSE)
    page.evaluate("window.horse = document.querySelector('input').files[0]")
    return page


def test_options_are_sent_with_the_image(functions: Page, service: RunningServer) -> None:
    code = "url => explain(url, horse, { target: 'dog', composite: 'epsilon_plus', top_k: 2 })"
    response: dict[str, Any] = functions.evaluate(code, service.url)

    assert response["target"]["label"] == "dog"
    assert response["method"]["composite"] == "epsilon_plus"
    assert len(response["predictions"]) == 2


def test_an_error_says_what_to_do(functions: Page, service: RunningServer) -> None:
    code = "url => explain(url, horse, { target: 'unicorn' }).catch((error) => error.message)"
    assert functions.evaluate(code, service.url).startswith("target: must be an index")


def test_relevance_is_read_as_numbers(functions: Page, service: RunningServer) -> None:
    code = """async url => {
      const response = await explain(url, horse, { output: "relevance" });
      const { shape, values } = relevanceOf(response);
      return [shape, [...values], response.conservation.arrived];
    }"""
    shape, found, arrived = functions.evaluate(code, service.url)

    headers = {"Content-Type": "image/jpeg", "Accept": "application/json"}
    options = {"output": "relevance", "relevance_format": "list"}
    expected = httpx.post(
        f"{service.url}/explain", content=HORSE.read_bytes(), headers=headers, params=options
    ).json()["relevance"]
    assert shape == expected["shape"] == [32, 32]
    assert np.reshape(found, shape) == pytest.approx(np.array(expected["data"]), rel=1e-6)
    assert sum(found) == pytest.approx(arrived, rel=1e-4)


@pytest.mark.parametrize(
    ("types", "n_tries"),
    [
        ([""], 1),
        (["queue-full", "not-ready", ""], 3),
        (["invalid-option", ""], 1),
        (["out-of-memory", ""], 1),
        (["no JSON", ""], 1),
        (["rate-limited"] * 9, 5),
    ],
)
def test_it_retries_what_may_succeed_later(functions: Page, types: list[str], n_tries: int) -> None:
    code = """async types => {
      const waits = [], original = setTimeout, left = [...types];
      window.setTimeout = (go, ms) => { waits.push(ms); original(go, 0); };
      const headers = { "Retry-After": "3" };
      const bodyOf = (type) => JSON.stringify({ type: `urn:lrpserve:problem:${type}` });
      const request = async () => {
        const type = left.shift();
        const body = type === "no JSON" ? "<html>" : bodyOf(type);
        return new Response(body, { status: type ? 503 : 200, headers });
      };
      const response = await patiently(request);
      return [types.length - left.length, waits, (await response.text()).length > 0];
    }"""
    n_sent, waits, has_body = functions.evaluate(code, types)

    assert has_body
    assert n_sent == n_tries
    assert len(waits) == n_tries - 1
    assert all(3000 <= ms <= 6000 for ms in waits)


def test_an_element_is_laid_over_the_box(functions: Page) -> None:
    code = """image => {
      const heatmap = document.createElement("img");
      layOver(heatmap, image);
      const { left, top, width, height } = heatmap.style;
      return [left, top, width, height].map(parseFloat);
    }"""
    image = {"width": 200, "height": 100, "box": [0, -50, 200, 150]}  # `pad`
    assert functions.evaluate(code, image) == [0, -50, 100, 200]


# --- the text


def test_every_header_of_cors_is_documented(service: RunningServer, listed: Site) -> None:
    asked = {"Origin": listed.origin, "Access-Control-Request-Method": "POST"}
    allowed = httpx.options(f"{service.url}/explain", headers=asked).headers
    exposed = httpx.get(f"{service.url}/healthz", headers={"Origin": listed.origin}).headers
    names = [
        *allowed["access-control-allow-headers"].split(", "),
        *exposed["access-control-expose-headers"].split(", "),
    ]
    plain = {"Accept-Language", "Content-Language"}  # which any page may send anywhere
    assert "X-Explanation" in names
    assert [name for name in names if name not in plain and f"`{name}`" not in TEXT] == []
