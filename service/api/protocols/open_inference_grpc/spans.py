"""Spans of a call, with the attributes of OpenTelemetry's conventions for gRPC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from service.api.middleware.tracing import DISCONNECTED, ServerSpan

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

_CANCELLED = 1  # gRPC's code
_UNTRACED = frozenset({"ServerLive", "ServerReady", "ModelReady"})  # probes


def start_call_trace(
    tracer: Tracer | None, service: str, method: str, headers: Sequence[tuple[bytes, bytes]]
) -> CallTrace | None:
    """Start the span of a call, as a child of the span that its metadata name.

    Parameters
    ----------
    tracer : Tracer or None
        None while traces are off.
    service, method : str
        Their names; probes get no span.
    headers : sequence of (bytes, bytes)
        The metadata.
    """
    if tracer is None or method in _UNTRACED:
        return None
    texts = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
    return CallTrace(tracer, service, method, texts)


class CallTrace(ServerSpan):
    """The spans of one call."""

    def __init__(
        self, tracer: Tracer, service: str, method: str, headers: Mapping[str, str]
    ) -> None:
        attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method}
        super().__init__(tracer, f"{service}/{method}", headers, attributes)

    def end(self, status: int, code: int, error: object, fields: Mapping[str, Any]) -> None:
        """End the span.

        Parameters
        ----------
        status, code : int
            Of the call, in the terms of HTTP and of gRPC.
        error : object
            The exception that the client was told, if any.
        fields : mapping
            Of the log: the model, the composite, the request's id.
        """
        self.record(status, error, fields)
        self.span.set_attribute("rpc.grpc.status_code", code)
        if code == _CANCELLED:
            self.span.set_attribute("error.type", DISCONNECTED)
        self.span.end()
