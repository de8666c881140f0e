"""API-key authentication middleware."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from hmac import compare_digest

from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.middleware.errors import error_response
from service.api.middleware.paths import path_of
from service.api_keys import digest_of, name_of
from service.errors import Unauthorized

HEADER = "X-API-Key"
# health checks, the playground and the documentation
OPEN_PATHS = frozenset(
    {
        *("/", "/healthz", "/readyz", "/docs", "/openapi.json"),
        *("/v2/health/live", "/v2/health/ready", "/ping"),
    }
)
_OPEN_FOLDERS = ("/swagger/", "/web/")
_HEADER, _SCHEME = HEADER.lower().encode(), b"bearer"


class APIKeyAuth:
    """Responds with a 401 to a request without a valid API key, before its body is read.

    Sets `scope["state"]["key"]` to the name of the key.

    Parameters
    ----------
    app : ASGIApp
        The wrapped application.
    keys : sequence of str
        Hashes of the valid keys.
    """

    def __init__(self, app: ASGIApp, keys: Sequence[str]) -> None:
        self._app = app
        self._valid = [(digest_of(key), name_of(key)) for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse a request."""
        if scope["type"] != "http" or _is_open(scope):
            await self._app(scope, receive, send)
            return
        state, sent = scope.setdefault("state", {}), list(_sent_keys(scope))
        name = self._authenticate(sent)
        if name is None:
            response = error_response(_refusal(is_wrong=bool(sent)), scope)
            await response(scope, receive, send)
            return
        state["key"] = name
        await self._app(scope, receive, send)

    def _authenticate(self, sent: Sequence[bytes]) -> str | None:
        """Return the name of the valid key among those that were sent."""
        authenticated = None
        for key in sent:
            digest = hashlib.sha256(key).digest()
            for valid, name in self._valid:  # all of them, in constant time
                if compare_digest(digest, valid):
                    authenticated = name
        return authenticated


def _is_open(scope: Scope) -> bool:
    path = path_of(scope)
    return path in OPEN_PATHS or path.startswith(_OPEN_FOLDERS)


def _sent_keys(scope: Scope) -> Iterator[bytes]:
    for name, value in scope["headers"]:
        if name == _HEADER:
            yield value.strip()
        elif name == b"authorization":
            scheme, _, key = value.strip().partition(b" ")
            if scheme.lower() == _SCHEME:
                yield key.strip()


def _refusal(*, is_wrong: bool) -> Unauthorized:
    how = f"`Authorization: Bearer KEY` or `{HEADER}: KEY`"
    why = "this API key is not valid" if is_wrong else "an API key is needed"
    return Unauthorized(
        f"{why}; the operator of the service has one for you: send it as {how}",
        headers={"WWW-Authenticate": "Bearer"},
    )
