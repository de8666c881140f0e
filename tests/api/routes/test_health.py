"""`/healthz`, `/readyz` and `/docs`."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import httpx


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


def test_docs_load_nothing_from_other_hosts(client: httpx.Client) -> None:
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
