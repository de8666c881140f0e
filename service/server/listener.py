"""The socket that the service listens on."""

from __future__ import annotations

import socket

from service.errors import ServiceError


class ListenError(ServiceError):
    """The address cannot be listened on."""

    type = "listen-error"
    title = "Cannot listen"


def listen(host: str, port: int) -> socket.socket:
    """Open a socket; port 0 is a free one.

    Raises
    ------
    ListenError
        The address is in use, or is none of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise ListenError(
            f"cannot listen on {host}:{port} ({error}); choose another --host or --port"
        ) from error


def url_of(listener: socket.socket) -> str:
    """The address of a socket, as people type it."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
