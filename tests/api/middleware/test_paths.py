"""HEAD, slashes at the end, and the prefix of a proxy, on every path."""

from __future__ import annotations

import http.client
import http.server
import re
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import urljoin

import httpx
import pytest

from service.settings import DEFAULT_MODEL, PREFIX, Settings
from tests.api.in_process import FakeEngine, connect
from tests.api.sending import problem_of
from tests.helpers.servers import RunningServer, running_server

PAGES = ["/", "/docs", "/openapi.json", "/web/js/main.js", "/swagger/swagger-ui.css"]
API = ["/healthz", "/readyz", "/models", f"/models/{DEFAULT_MODEL}", "/metrics"]
RAW = {"Content-Type": "image/jpeg"}
BROWSER = {"Accept": "text/html"}
ROOT = "/team/lrp"
VARY = ("date", "x-request-id", "server-timing", "transfer-encoding")


def head_of(response: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name not in VARY}


@pytest.mark.parametrize("path", [*PAGES, *API, "/nowhere", "/models/none", "/predict"])
def test_head_has_the_headers_of_get_and_no_body(client: httpx.Client, path: str) -> None:
    head, get = client.head(path), client.get(path)

    assert head.status_code == get.status_code
    if path != "/metrics":  # its numbers change
        assert head_of(head) == head_of(get)
    assert head.content == b""
    assert client.get("/healthz").json() == {"status": "ok"}  # the connection is still in order


def test_every_get_route_of_the_app_answers_head() -> None:
    with connect(Settings(), FakeEngine()) as service:
        paths = service.run(service.client.get("/openapi.json")).json()["paths"]
        routes = [path for path, item in paths.items() if "get" in item]
        assert not [path for path, item in paths.items() if "head" in item]
        for path in [*routes, "/", "/docs", "/openapi.json"]:
            answer = service.request("HEAD", re.sub(r"{\w+}", DEFAULT_MODEL, path))
            assert (answer.status_code, answer.content) == (200, b""), path


@pytest.mark.parametrize("path", [*PAGES, *API])
def test_allow_lists_head(client: httpx.Client, path: str) -> None:
    answer = client.post(path)

    problem_of(answer, 405, "use GET, HEAD")
    assert answer.headers["allow"] == "GET, HEAD"
    assert client.get("/predict").headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/predict/", "/explain/", "/explain//"])
def test_a_slash_at_the_end_of_a_post(client: httpx.Client, photo: bytes, path: str) -> None:
    answer = client.post(path, content=photo, headers=RAW)

    assert answer.status_code == 200
    expected = client.post(path.rstrip("/"), content=photo, headers=RAW)
    assert answer.content == expected.content


@pytest.mark.parametrize("path", ["/docs/", "/healthz/", "/models/"])
def test_a_slash_at_the_end_of_a_get(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 200


# A proxy that serves the service under a prefix, and strips it or not


@contextmanager
def proxy(target: str, prefix: str, *, strips: bool) -> Iterator[str]:
    url = httpx.URL(target)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            connection = http.client.HTTPConnection(url.host, url.port)
            path = self.path.removeprefix(prefix) if strips else self.path
            is_inside = self.path.startswith(prefix)
            headers = {name: v for name, v in self.headers.items() if name != "Connection"}
            with closing(connection):
                connection.request(self.command, path if is_inside else "/nowhere", body, headers)
                response = connection.getresponse()
                content = response.read()
            self.send_response(response.status)
            for name, value in response.getheaders():
                if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = forward  # noqa: N815  the library's names

        def log_message(self, *arguments: object) -> None:
            """Log nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}{prefix}"
        server.shutdown()


@pytest.fixture(scope="module")
def prefixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    settings = {f"{PREFIX}ROOT_PATH": ROOT, f"{PREFIX}API_KEYS": "secret-key-of-the-tests"}
    with running_server(tmp_path_factory.mktemp("prefixed"), settings) as running:
        yield running


@pytest.fixture(scope="module", params=["stripped", "kept", "without the setting"])
def behind(
    request: pytest.FixtureRequest, server: RunningServer, prefixed: RunningServer
) -> Iterator[httpx.Client]:
    is_set = request.param != "without the setting"
    target = prefixed.url if is_set else server.url
    headers = {"X-API-Key": "secret-key-of-the-tests"}
    with (
        proxy(target, ROOT, strips=request.param != "kept") as url,
        httpx.Client(headers=headers, timeout=60, base_url=url) as connected,
    ):
        yield connected


@pytest.mark.parametrize("path", ["/predict", "/predict/", "/explain"])
def test_images_behind_a_prefix(behind: httpx.Client, photo: bytes, path: str) -> None:
    assert behind.post(path, content=photo, headers=RAW).status_code == 200


@pytest.mark.parametrize("path", ["/", "/docs", "/docs/", "/healthz", "/openapi.json", "/models/"])
def test_pages_behind_a_prefix(behind: httpx.Client, path: str) -> None:
    assert behind.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/docs", "/docs/"])
def test_the_files_of_the_docs_behind_a_prefix(behind: httpx.Client, path: str) -> None:
    page = behind.get(path)
    for name in ("swagger/swagger-ui-bundle.js", "swagger/swagger-ui.css", "openapi.json"):
        (address,) = [part for part in page.text.replace("'", '"').split('"') if name in part]
        assert behind.get(urljoin(str(page.url), address)).status_code == 200


def test_the_servers_of_the_document_lead_back_to_the_service(behind: httpx.Client) -> None:
    document = behind.get("/openapi.json")
    (server,) = document.json()["servers"]
    address = urljoin(str(document.url), server["url"]).rstrip("/")
    assert behind.get(f"{address}/healthz").status_code == 200


def test_keys_are_needed_behind_a_prefix(prefixed: RunningServer) -> None:
    for path in ("/models", f"{ROOT}/models", f"{ROOT}{ROOT}/models", "/predict/"):
        assert httpx.get(prefixed.url + path).status_code == 401, path
    for path in ("/healthz", f"{ROOT}/healthz", f"{ROOT}/web/js/main.js", "/web/js/main.js"):
        assert httpx.get(prefixed.url + path).status_code == 200, path


def test_the_prefix_without_its_slash_leads_to_the_page(prefixed: RunningServer) -> None:
    answer = httpx.get(prefixed.url + ROOT, headers=BROWSER)
    assert urljoin(prefixed.url + ROOT, answer.headers["location"]) == f"{prefixed.url}{ROOT}/"
    page = httpx.get(prefixed.url + ROOT, headers=BROWSER, follow_redirects=True)
    assert page.headers["content-type"].startswith("text/html")
