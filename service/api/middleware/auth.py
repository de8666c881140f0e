"""API keys: who sends none that is known gets no further than the door."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from hmac import compare_digest

from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.response.problems import problem_response
from service.api_keys import digest_of, name_of
from service.errors import Unauthorized

HEADER = "X-API-Key"
# for whatever watches over the service, and for whoever reads how to use it
OPEN_PATHS = frozenset({"/", "/healthz", "/readyz", "/docs", "/openapi.json"})
_OPEN_FOLDERS = ("/swagger/", "/web/")
_HEADER, _SCHEME = HEADER.lower().encode(), b"bearer"


class RequireKey:
    """Pure ASGI: refuses a request without a key that is known, before its body is read.

    Those that pass have the key's name in `scope["state"]["key"]`.

    Parameters
    ----------
    app : ASGIApp
        Gets the requests that pass.
    keys : sequence of str
        Hashes of the keys that are known.
    """

    def __init__(self, app: ASGIApp, keys: Sequence[str]) -> None:
        self._app = app
        self._known = [(digest_of(key), name_of(key)) for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] != "http" or _is_open(scope):
            await self._app(scope, receive, send)
            return
        state, sent = scope.setdefault("state", {}), list(_sent_keys(scope))
        name = self._find(sent)
        if name is None:
            response = problem_response(_refusal(is_wrong=bool(sent)), state["request_id"])
            await response(scope, receive, send)
            return
        state["key"] = name
        await self._app(scope, receive, send)

    def _find(self, sent: Sequence[bytes]) -> str | None:
        found = None
        for key in sent:
            digest = hashlib.sha256(key).digest()
            for known, name in self._known:  # all of them: how long it takes tells nothing
                if compare_digest(digest, known):
                    found = name
        return found


def _is_open(scope: Scope) -> bool:
    path = scope["path"].removeprefix(scope.get("root_path", ""))
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
    why = "the key that was sent is not known here" if is_wrong else "a key is needed"
    return Unauthorized(
        f"{why}; whoever runs the service gives one: send it as {how}",
        headers={"WWW-Authenticate": "Bearer"},
    )
