"""Loads by `wrk`, and its output."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.load import Load, put_load, read_output
from benchmarks.payloads import Payload
from tests.helpers.tools import find_tool

OUTPUT = """Running 1s test @ http://127.0.0.1:1/
  1 threads and 2 connections

{"n": 300, "us": 2000000, "bad": 100, "lost": 3, "p50": 1500, "p99": 20000}"""


def test_only_good_responses_count() -> None:
    assert read_output(OUTPUT) == Load(per_s=100.0, n_bad=103, p50_ms=1.5, p99_ms=20.0)


def test_other_output_is_refused() -> None:
    with pytest.raises(ValueError, match="Expecting value"):
        read_output("unable to connect")


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        is_good = body == b"a body" and self.headers["content-type"] == "image/png"
        self.send_response(200 if is_good else 400)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None: ...


@pytest.fixture
def url() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("body", "is_good"), [(b"a body", True), (b"another", False)])
def test_a_real_load_has_the_payload(
    url: str, tmp_path: Path, body: bytes, *, is_good: bool
) -> None:
    find_tool("wrk")
    load = put_load(url, Payload("image/png", body), 2, 1, tmp_path)
    assert (load.per_s > 0) is is_good
    assert (load.n_bad == 0) is is_good
