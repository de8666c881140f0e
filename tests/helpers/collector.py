"""A collector of OpenTelemetry traces for tests: it decodes what is exported, and keeps it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.helpers.conditions import wait_until


@dataclass(frozen=True)
class Exported:
    """A span that was exported, with the attributes of its process."""

    span: Span
    resource: dict[str, Any]

    @property
    def name(self) -> str:
        return self.span.name

    @property
    def trace_id(self) -> str:
        return self.span.trace_id.hex()

    @property
    def span_id(self) -> str:
        return self.span.span_id.hex()

    @property
    def parent_id(self) -> str:
        return self.span.parent_span_id.hex()

    @property
    def attributes(self) -> dict[str, Any]:
        return _values(self.span.attributes)


class Collector(ThreadingHTTPServer):
    """Takes `POST /v1/traces`."""

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.spans: list[Exported] = []

    def trace(self, trace_id: str) -> list[Exported]:
        """The spans of a trace, in the order of their start."""
        own = [exported for exported in self.spans if exported.trace_id == trace_id]
        return sorted(own, key=lambda exported: exported.span.start_time_unix_nano)

    def wait_for(self, trace_id: str, n: int) -> list[Exported]:
        """Wait until so many spans of a trace were exported."""
        wait_until(lambda: len(self.trace(trace_id)) >= n, limit_s=20)
        return self.trace(trace_id)


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200 if self.path == "/v1/traces" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()
        for process in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = _values(process.resource.attributes)
            for scope in process.scope_spans:
                self.server.spans += [Exported(span, resource) for span in scope.spans]

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


def _values(attributes: Any) -> dict[str, Any]:
    return {
        attribute.key: getattr(attribute.value, attribute.value.WhichOneof("value"))
        for attribute in attributes
    }


@contextmanager
def running_collector(port: int = 0) -> Iterator[Collector]:
    """Start a collector on a port, by default a free one, and end it."""
    with Collector(port) as collector:
        threading.Thread(target=collector.serve_forever, kwargs={"poll_interval": 0.02}).start()
        try:
            yield collector
        finally:
            collector.shutdown()
