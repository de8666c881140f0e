"""The client of a request, for fair queueing."""

from __future__ import annotations

from starlette.types import Scope


def client_of(scope: Scope) -> str:
    """The name of the API key; without keys the address, and nothing on a unix socket."""
    key: str | None = scope["state"].get("key")
    if key is not None:
        return f"key {key}"
    host, _ = scope.get("client") or ("", 0)
    return f"address {host}"
