"""Export of traces by OpenTelemetry, as the standard variables say; off unless they are set.

The contract:

- Traces are on where `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` or
  `OTEL_TRACES_EXPORTER` is set, and `OTEL_SDK_DISABLED` is not. Off, nothing of OpenTelemetry is
  imported.
- Spans are exported by a thread. No request waits for it: while the collector cannot be reached
  spans are dropped, and the log says once when that begins and once when it ends.
- At the end of the process the spans that remain are exported, within a time limit.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from service import __version__
from service.settings import SettingsError

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
    from opentelemetry.trace import Tracer

logger = logging.getLogger(__name__)

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_EXPORTER = "OTEL_TRACES_EXPORTER"
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PACKAGES = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
_NAME = "lrpserve"
_FLUSH_S = 3.0


def tracing_variable() -> str | None:
    """The variable that turns traces on; None while they are off."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    exporter = os.environ.get(_EXPORTER, "").strip()
    if exporter:
        return None if exporter == "none" else _EXPORTER
    return next((name for name in _ENDPOINTS if os.environ.get(name, "").strip()), None)


class SpanExport:
    """Makes spans, and exports them by a thread.

    Attributes
    ----------
    tracer : Tracer
        Makes the spans.

    Raises
    ------
    SettingsError
        OpenTelemetry is not installed, or there is no such exporter.
    """

    def __init__(self) -> None:
        try:
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError:
            raise SettingsError(
                f"{tracing_variable()} is set, but OpenTelemetry is not installed: "
                "pip install 'lrpserve[otel]', or set OTEL_TRACES_EXPORTER=none"
            ) from None
        self._provider = TracerProvider(resource=_make_resource(), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(_note_outages(_make_exporter())))
        self.tracer: Tracer = self._provider.get_tracer(_NAME, __version__)

    def close(self) -> None:
        """Export the spans that remain, for a limited time."""
        thread = threading.Thread(target=self._provider.shutdown, name="spans", daemon=True)
        thread.start()
        thread.join(_FLUSH_S)
        if thread.is_alive():
            logger.warning("the last spans could not be exported within %g s", _FLUSH_S)


def make_span_export() -> SpanExport | None:
    """Start to export spans, if the environment says so.

    Raises
    ------
    SettingsError
        As `SpanExport` does.
    """
    return None if tracing_variable() is None else SpanExport()


def _make_resource() -> Resource:
    from opentelemetry.sdk.resources import PROCESS_PID, SERVICE_NAME, SERVICE_VERSION, Resource

    own = Resource({SERVICE_VERSION: __version__, PROCESS_PID: os.getpid()})
    resource = own.merge(Resource.create())  # what the environment says takes precedence
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: _NAME}))
    return resource


def _make_exporter() -> SpanExporter:
    name = os.environ.get(_EXPORTER, "").strip() or "otlp"
    if name == "otlp":
        protocol = next((value for key in _PROTOCOLS if (value := os.environ.get(key))), None)
        name = _PACKAGES.get(protocol or "http/protobuf", f"otlp with {protocol}")
    for found in entry_points(group="opentelemetry_traces_exporter", name=name):
        exporter: SpanExporter = found.load()()
        return exporter
    raise SettingsError(
        f"there is no exporter of traces '{name}'; set {_EXPORTER} to otlp, console or none, and "
        f"{_PROTOCOLS[1]} to http/protobuf, or install a package that has it"
    )


def _note_outages(exporter: SpanExporter) -> SpanExporter:
    """Wrap an exporter, so that the log says when its collector fails, and no more."""
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    outage = _Outage()
    for name in (type(exporter).__module__, "opentelemetry.sdk._shared_internal"):
        logging.getLogger(name).addFilter(outage)

    class NotingExporter(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            result = exporter.export(spans)
            outage.note(is_over=result is SpanExportResult.SUCCESS)
            return result

        def shutdown(self) -> None:
            exporter.shutdown()

    return NotingExporter()


class _Outage(logging.Filter):
    """Keeps the reasons that the libraries log, in place of a line for each try."""

    def __init__(self) -> None:
        super().__init__()
        self._reason, self._is_down = "", False

    def filter(self, record: logging.LogRecord) -> bool:
        self._reason = self._reason or record.getMessage()
        return False

    def note(self, *, is_over: bool) -> None:
        if is_over:
            if self._is_down:
                logger.warning("traces are exported again")
            self._reason, self._is_down = "", False
        elif not self._is_down:
            self._is_down = True
            logger.warning("traces cannot be exported, and are dropped: %s", self._reason)
