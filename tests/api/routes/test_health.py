"""`/healthz`, `/readyz` and `/docs`."""

from __future__ import annotations

import asyncio
import json
import platform
import re
from html.parser import HTMLParser
from importlib import metadata
from types import SimpleNamespace
from typing import cast

import httpx
from fastapi import FastAPI

from service import __version__
from service.api.models import Models
from service.api.routes.health import make_router
from service.api.state import AppState
from service.build_info import build_info, commit_of
from service.runtime.queue import DeviceQueue
from service.settings import Settings
from service.worker_state import State, WorkerSlot, WorkerStates


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


def test_a_worker_that_says_it_is_ready_is_known_to_the_others() -> None:
    states = WorkerStates(2)
    states.write(1, State.READY)
    queue = cast("DeviceQueue", SimpleNamespace(health=lambda stall_s: State.READY))
    models = cast("Models", SimpleNamespace())
    app = FastAPI()
    slot = WorkerSlot(states, 0)
    app.include_router(make_router(AppState(Settings(), models, queue, slot=slot)))

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://a.example") as client:
            return await client.get("/readyz")

    assert asyncio.run(ask()).status_code == 200
    assert WorkerSlot(states, 1).worst_other_state() is State.READY


def test_the_version_names_what_the_numbers_depend_on(client: httpx.Client) -> None:
    answer = client.get("/version")
    assert answer.status_code == 200
    expected = {
        name: metadata.version(name) for name in ("torch", "torchvision", "zennit", "numpy")
    }
    assert answer.json() | expected == answer.json()
    assert answer.json()["version"] == __version__
    assert answer.json()["python"] == platform.python_version()


def test_the_version_has_the_commit_of_the_build() -> None:
    assert build_info("0a1b2c")["commit"] == "0a1b2c"
    direct_url = {"url": "https://a.example", "vcs_info": {"vcs": "git", "commit_id": "3d4e5f"}}
    assert commit_of(json.dumps(direct_url)) == "3d4e5f"
    assert commit_of('{"url": "file:///src", "dir_info": {"editable": true}}') is None
    assert commit_of(None) is None


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
