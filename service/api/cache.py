"""Cache of responses: LRU, bounded in bytes, off by default.

A response is found by what it depends on: the resolved request, the image's hash, the model's card
and the version of the service. Each worker process has a cache of its own, which only its event
loop touches, so that it needs no lock.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cachetools import LRUCache
from starlette.responses import Response

from service import __version__
from service.api.request.resolved import ResolvedRequest

_LARGEST_SHARE = 8  # a response larger than the cache's 8th part would evict too many others
_OVERHEAD_BYTES = 1024  # of an entry: its objects and its places in tables; measured: 0.8 KB


@dataclass(frozen=True, slots=True)
class _Entry:
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...]

    @property
    def n_bytes(self) -> int:
        headers = sum(len(name) + len(value) for name, value in self.headers)
        return len(self.body) + headers + _OVERHEAD_BYTES

    def to_response(self) -> Response:
        response = Response(self.body)
        response.raw_headers = list(self.headers)
        return response


class Cache:
    """The responses that were used last.

    Parameters
    ----------
    max_bytes : int
        Bound of all entries with their overhead; 0 turns the cache off.

    Attributes
    ----------
    hits, misses : int
        Number of requests that were, and were not, answered from the cache.
    """

    def __init__(self, max_bytes: int = 0) -> None:
        self._entries: LRUCache[bytes, _Entry] = LRUCache(max_bytes, lambda entry: entry.n_bytes)
        self.hits = self.misses = 0

    @property
    def is_on(self) -> bool:
        """Whether responses are kept."""
        return self._entries.maxsize > 0

    @property
    def n_bytes(self) -> int:
        """Size of all entries."""
        return int(self._entries.currsize)

    def key(self, image: bytes, resolved: ResolvedRequest) -> bytes:
        """The key of a request, a digest. Takes long for a large image: use a thread."""
        image_hash = hashlib.sha256(image).hexdigest()
        return _digest(__version__, resolved.card.digest, image_hash, resolved.canonical())

    def get(self, key: bytes) -> Response | None:
        """The response under a key; counts a hit or a miss."""
        entry = self._entries.get(key)
        if entry is None:
            self.misses += 1
            return None
        self.hits += 1
        return entry.to_response()

    def put(self, key: bytes, response: Response) -> None:
        """Keep a response, unless it is an error or too large."""
        entry = _Entry(bytes(response.body), tuple(response.raw_headers))
        if response.status_code == 200 and entry.n_bytes <= self._entries.maxsize // _LARGEST_SHARE:
            self._entries[key] = entry


def _digest(*parts: str) -> bytes:
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).digest()
