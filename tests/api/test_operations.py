"""What is there for pages, for operators, and for whatever watches over the service."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser

import httpx
import pytest

from service.settings import Settings
from tests.api.in_process import Connection, FakeEngine, connect
from tests.api.sending import JSON_TYPE

ALLOWED, FOREIGN = "https://page.example", "https://other.example"
RAW = {"Content-Type": "image/jpeg"}


class Links(HTMLParser):
    """Collects the addresses that a page loads by itself."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "link", "img", "iframe"):
            self.found += [value for name, value in attrs if name in ("src", "href") and value]


def test_health_and_readiness(client: httpx.Client) -> None:
    for path, status in (("/healthz", "ok"), ("/readyz", "ready")):
        answer = client.get(path)
        assert (answer.status_code, answer.json()) == (200, {"status": status})


# --- /docs


def test_docs_load_nothing_from_elsewhere(client: httpx.Client) -> None:
    page = client.get("/docs")

    assert page.headers["content-type"].startswith("text/html")
    own = str(client.base_url)
    assert not [
        address
        for address in re.findall(r"(?:https?:)?//[\w.:-]+[^\s\"'<]*", page.text)
        if not address.startswith(own)
    ]
    links = Links(page.text).found
    assert len(links) >= 2
    for link in links:
        assert client.get(link).status_code == 200, link


def test_the_scripts_and_styles_of_docs_are_real(client: httpx.Client) -> None:
    links = Links(client.get("/docs").text).found
    script = client.get(next(link for link in links if link.endswith(".js")))
    style = client.get(next(link for link in links if link.endswith(".css")))

    assert "javascript" in script.headers["content-type"]
    assert "SwaggerUIBundle" in script.text
    assert style.headers["content-type"].startswith("text/css")


def test_docs_describe_this_service(client: httpx.Client) -> None:
    # relative, as every address on the page: it holds behind a proxy's prefix too
    assert "url: 'openapi.json'" in client.get("/docs").text
    assert client.get("/openapi.json").headers["content-type"] == "application/json"


# --- CORS


@pytest.fixture(scope="module")
def pages_allowed() -> Iterator[Connection]:
    with connect(Settings(cors_origins=(ALLOWED, "http://localhost:3000")), FakeEngine()) as made:
        yield made


def cors_headers(answer: httpx.Response) -> set[str]:
    return {name for name in answer.headers if name.startswith("access-control-")}


def test_no_page_may_call_by_default(client: httpx.Client, photo: bytes) -> None:
    headers = {"Origin": ALLOWED, **RAW}
    preflight = {"Origin": ALLOWED, "Access-Control-Request-Method": "POST"}

    assert not cors_headers(client.post("/predict", content=photo, headers=headers))
    assert not cors_headers(client.options("/predict", headers=preflight))


@pytest.mark.parametrize("origin", [ALLOWED, "http://localhost:3000"])
def test_an_allowed_page_may_read_the_answer(
    pages_allowed: Connection, photo: bytes, origin: str
) -> None:
    headers = {"Origin": origin, "Accept": "image/png", **RAW}

    answer = pages_allowed.request("POST", "/explain", content=photo, headers=headers)

    assert answer.headers["access-control-allow-origin"] == origin
    exposed = answer.headers["access-control-expose-headers"]
    for name in ("X-Request-ID", "X-Explanation", "Server-Timing", "Retry-After"):
        assert name in exposed
    assert {"Accept", "Origin"} <= {name.strip() for name in answer.headers["vary"].split(",")}
    assert "access-control-allow-credentials" not in answer.headers


def test_an_allowed_page_may_read_problems(pages_allowed: Connection) -> None:
    headers = {"Origin": ALLOWED, **JSON_TYPE}

    answer = pages_allowed.request("POST", "/explain", content="{}", headers=headers)

    assert answer.status_code == 400
    assert answer.headers["access-control-allow-origin"] == ALLOWED


def test_an_allowed_page_may_ask_first(pages_allowed: Connection) -> None:
    headers = {
        "Origin": ALLOWED,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type, accept, x-request-id",
    }

    answer = pages_allowed.request("OPTIONS", "/explain", headers=headers)

    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ALLOWED
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["x-request-id"]


def test_another_page_may_not(pages_allowed: Connection, photo: bytes) -> None:
    headers = {"Origin": FOREIGN, **RAW}
    preflight = {"Origin": FOREIGN, "Access-Control-Request-Method": "POST"}

    answer = pages_allowed.request("POST", "/predict", content=photo, headers=headers)
    refused = pages_allowed.request("OPTIONS", "/predict", headers=preflight)

    assert "access-control-allow-origin" not in answer.headers
    assert "access-control-allow-origin" not in refused.headers
    assert refused.status_code == 400
