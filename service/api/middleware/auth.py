"""API-key authentication middleware."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
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


Headers = Iterable[tuple[bytes, bytes]]


class KeyRing:
    """The valid API keys.

    Parameters
    ----------
    keys : sequence of str
        Their hashes.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._valid = [(digest_of(key), name_of(key)) for key in keys]

    def authenticate(self, headers: Headers) -> str:
        """Return the name of the valid key among headers, whose names are in lower case.

        Raises
        ------
        Unauthorized
            There is none.
        """
        sent, authenticated = list(_sent_keys(headers)), None
        for key in sent:
            digest = hashlib.sha256(key).digest()
            for valid, name in self._valid:  # all of them, in constant time
                if compare_digest(digest, valid):
                    authenticated = name
        if authenticated is None:
            raise _refusal(is_wrong=bool(sent))
        return authenticated


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
        self._app, self._key_ring = app, KeyRing(keys)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse a request."""
        if scope["type"] != "http" or _is_open(scope):
            await self._app(scope, receive, send)
            return
        try:
            name = self._key_ring.authenticate(scope["headers"])
        except Unauthorized as error:
            await error_response(error, scope)(scope, receive, send)
            return
        scope.setdefault("state", {})["key"] = name
        await self._app(scope, receive, send)


def _is_open(scope: Scope) -> bool:
    path = path_of(scope)
    return path in OPEN_PATHS or path.startswith(_OPEN_FOLDERS)


def _sent_keys(headers: Headers) -> Iterator[bytes]:
    for name, value in headers:
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
