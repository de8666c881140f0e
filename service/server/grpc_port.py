"""The port of gRPC: the addresses are those of HTTP, `LRPSERVE_GRPC_PORT` is the port.

Each of several workers listens on it (SO_REUSEPORT): the system gives a connection to one of them.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

from service.api.protocols.open_inference_grpc.server import (
    GRPCError,
    GRPCServer,
    PemFiles,
    ReadCertificate,
)
from service.api.state import AppState
from service.server.listen import ListenError, listen
from service.server.tls import CertificateFiles, TLSError, Version
from service.settings import PREFIX, Settings

_LOCAL = "127.0.0.1"  # beside a unix socket


def check_grpc(listeners: Sequence[socket.socket], settings: Settings) -> None:
    """Check before the start that the port, if there is one, is free, and the key can be read.

    Raises
    ------
    GRPCError
        It is not.
    """
    port = settings.grpc_port
    if port is None:
        return
    if settings.tls_cert is not None and settings.tls_key_password is not None:
        raise GRPCError(
            f"gRPC needs a key without a password: decrypt the file of {PREFIX}TLS_KEY, and leave "
            f"{PREFIX}TLS_KEY_PASSWORD out, or {PREFIX}GRPC_PORT"
        )
    for host in _hosts(listeners):
        try:
            with listen(host, port):
                pass
        except ListenError as error:
            raise GRPCError(
                f"{error.detail.partition(';')[0]}; choose another {PREFIX}GRPC_PORT"
            ) from error


async def start_grpc(
    app_state: AppState, listeners: Sequence[socket.socket], files: CertificateFiles | None
) -> GRPCServer | None:
    """Start the gRPC server of a worker, where the settings have a port for it.

    Raises
    ------
    GRPCError
        The port is in use.
    """
    port = app_state.settings.grpc_port
    if port is None:
        return None
    server = GRPCServer(app_state)
    await server.start(_hosts(listeners), port, _reader(files) if files else None)
    return server


def _hosts(listeners: Sequence[socket.socket]) -> list[str]:
    return [
        _LOCAL if listener.family == socket.AF_UNIX else str(listener.getsockname()[0])
        for listener in listeners
    ]


def _reader(files: CertificateFiles) -> ReadCertificate:
    last: Version | None = None

    def read() -> PemFiles | None:
        nonlocal last
        version = files.version()
        if version == last:
            return None
        last = version
        try:
            files.load()
            return PemFiles(files.certificate.read_bytes(), files.key.read_bytes())
        except (TLSError, OSError):  # HTTP's look at the files logs why
            return None

    return read
