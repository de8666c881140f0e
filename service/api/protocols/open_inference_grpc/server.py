"""The gRPC server of a worker process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from service.api.protocols.open_inference_grpc.calls import SERVICE
from service.api.protocols.open_inference_grpc.servicer import Servicer
from service.api.state import AppState
from service.errors import ServiceError

_MAX_METADATA_BYTES = 16_384
_IDENTITY = 1  # of the bits of gRPC's compression algorithms
_SPARE_CALLS = 64  # of readiness and metadata, beside those that wait


class GRPCError(ServiceError):
    """The service cannot listen for gRPC."""

    type = "grpc-error"
    title = "Cannot listen for gRPC"


@dataclass(frozen=True)
class PemFiles:
    """The contents of a certificate and its key."""

    certificate: bytes
    key: bytes


# the certificate in use, or None where it has not changed since the last call
ReadCertificate = Callable[[], PemFiles | None]


class GRPCServer:
    """Serves `inference.GRPCInferenceService` in the event loop of the HTTP server.

    Parameters
    ----------
    app_state : AppState
        Shared with the routes of HTTP.
    """

    def __init__(self, app_state: AppState) -> None:
        import grpc

        settings = app_state.settings
        self._grace_s = settings.deadline_s
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", settings.max_body_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_metadata_size", _MAX_METADATA_BYTES),
                # a small message could become a large one before its length is checked
                ("grpc.compression_enabled_algorithms_bitset", _IDENTITY),
                # several workers share the port; else another process could share it, too
                ("grpc.so_reuseport", int(settings.workers > 1)),
            ],
            maximum_concurrent_rpcs=2 * settings.queue_size + _SPARE_CALLS,
        )
        handlers = Servicer(app_state).handlers()
        generic = grpc.method_handlers_generic_handler(SERVICE, handlers)
        self._server.add_generic_rpc_handlers((generic,))

    async def start(
        self, hosts: Sequence[str], port: int, read_certificate: ReadCertificate | None = None
    ) -> None:
        """Listen, and serve from now on.

        Parameters
        ----------
        hosts : sequence of str
            Addresses.
        read_certificate : callable, optional
            For TLS.

        Raises
        ------
        GRPCError
            The port is in use.
        """
        for host in hosts:
            address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            try:
                if read_certificate is None:
                    self._server.add_insecure_port(address)
                else:
                    self._server.add_secure_port(address, _credentials(read_certificate))
            except RuntimeError as error:
                raise GRPCError(
                    f"cannot listen for gRPC on {address}; choose another LRPSERVE_GRPC_PORT"
                ) from error
        await self._server.start()

    async def stop(self) -> None:
        """Accept no more calls, and end when those that were accepted are answered."""
        await self._server.stop(self._grace_s)


def _credentials(read_certificate: ReadCertificate) -> Any:
    import grpc

    def fetch() -> Any:
        files = read_certificate()
        if files is None:
            return None
        pairs = [(files.key, files.certificate)]
        return grpc.ssl_server_certificate_configuration(pairs)

    return grpc.dynamic_ssl_server_credentials(fetch(), fetch, False)
