"""Static files that are compressed once."""

from __future__ import annotations

import asyncio
import gzip
import threading
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from service.api.middleware.compression import LEVEL, accepts_gzip

_TEXT = ("text/", "application/json", "application/javascript", "image/svg+xml")


class CompressedFiles(StaticFiles):
    """Starlette's `StaticFiles`; the gzip of a text is kept in memory from its first request on.

    Compressing takes longer than anything else in serving a file: 80 ms for Swagger's bundle.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[str, bytes]] = {}  # by path: the ETag and the content

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return the response for a path, compressed where the client accepts it."""
        response = await super().get_response(path, scope)
        headers = Headers(scope=scope)
        if not isinstance(response, FileResponse) or "range" in headers:
            return response
        is_text = (response.media_type or "").startswith(_TEXT)
        if not is_text or not accepts_gzip(headers.get("accept-encoding", "")):
            return response
        content = await self._compress(str(response.path), response.headers["etag"])
        kept = {"last-modified", "etag", "content-type"}
        compressed = {name: value for name, value in response.headers.items() if name in kept}
        compressed |= {"content-encoding": "gzip", "vary": "Accept-Encoding"}
        return Response(content, headers=compressed)

    async def _compress(self, path: str, etag: str) -> bytes:
        if not self._is_kept(path, etag):
            await asyncio.to_thread(self._keep, path, etag)
        return self._kept[path][1]

    def _keep(self, path: str, etag: str) -> None:
        with self._lock:  # a second request waits for the first to compress
            if not self._is_kept(path, etag):
                self._kept[path] = etag, _gzip(path)

    def _is_kept(self, path: str, etag: str) -> bool:
        return path in self._kept and self._kept[path][0] == etag


def _gzip(path: str) -> bytes:
    return gzip.compress(Path(path).read_bytes(), LEVEL, mtime=0)
