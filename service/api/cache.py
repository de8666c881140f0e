"""Answers that were given before, by what was asked: bounded in bytes, off by default.

Only the event loop touches a cache, so it needs no lock. Each worker process has its own, but all
of them give an answer the same `ETag`, which says no more than what was asked.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from cachetools import LRUCache
from starlette.responses import Response

from service import __version__
from service.api.request.options import PredictOptions
from service.methods import all_parameters
from service.models.card import ModelCard

_LARGEST_SHARE = 8  # an answer larger than the cache's 8th part would drive out too many others
_OVERHEAD_BYTES = 1024  # of an entry: its objects and its places in tables; measured: 0.8 KB
_TAG = re.compile(r'"[^"]*"')
# what these say is in the model's card, in the method, or in what else a question resolves
_RESOLVED = {
    *("model", "target", "contrast", "targets", "start"),
    *("composite", "attributor", "layer", *all_parameters()),
}


@dataclass(frozen=True)
class Asked:
    """What is asked about an image, so that whatever is asked in other words is equal.

    Attributes
    ----------
    route : str
        What is done.
    media_type : str
        Of the answer.
    model : str
        Name of the model.
    options : PredictOptions
        Those that are resolved do not count.
    resolved : tuple
        What they were resolved to, with every parameter; each entry has a `repr` that tells it
        from all others.
    """

    route: str
    media_type: str
    model: str
    options: PredictOptions
    resolved: tuple[object, ...] = ()

    def text(self) -> str:
        """All of it; the same for two if and only if they have the same answers."""
        options = [
            (name, getattr(self.options, name))
            for name in type(self.options).model_fields
            if name not in _RESOLVED
        ]
        return repr((self.route, self.media_type, self.model, options, self.resolved))


@dataclass(frozen=True, slots=True)
class _Kept:
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...]

    @property
    def n_bytes(self) -> int:
        heads = sum(len(name) + len(value) for name, value in self.headers)
        return len(self.body) + heads + _OVERHEAD_BYTES

    def respond(self) -> Response:
        response = Response(self.body)
        response.raw_headers = list(self.headers)
        return response


class Cache:
    """The answers that were asked for last.

    Parameters
    ----------
    max_bytes : int
        Of all answers with what it takes to keep them; 0 keeps none.
    cards : mapping of str to ModelCard
        Of the models, by name.

    Attributes
    ----------
    hits, misses : int
        How many requests were answered from it, and how many were not.
    """

    def __init__(self, max_bytes: int = 0, cards: Mapping[str, ModelCard] | None = None) -> None:
        self._kept: LRUCache[bytes, _Kept] = LRUCache(max_bytes, lambda kept: kept.n_bytes)
        # all that the card says, not only the hash of the weights: labels and normalization matter
        self._models = {
            name: _digest(__version__, card.model_dump_json())
            for name, card in (cards or {}).items()
        }
        self.hits = self.misses = 0

    @property
    def is_on(self) -> bool:
        """Whether it keeps anything."""
        return self._kept.maxsize > 0

    @property
    def n_bytes(self) -> int:
        """What it takes now."""
        return int(self._kept.currsize)

    def key(self, image: bytes, asked: Asked) -> bytes:
        """The digest of a question about an image. Takes long for a large image."""
        image_hash = hashlib.sha256(image).hexdigest()
        return bytes.fromhex(_digest(self._models[asked.model], image_hash, asked.text()))

    def find(self, key: bytes, if_none_match: str) -> Response | None:
        """The answer that is kept, or a 304 where the client has it already."""
        kept = self._kept.get(key)
        tag = _etag(key)
        # `*` stands for any answer there is: only of what is kept it is known that there is one
        has_it = kept is not None if if_none_match.strip() == "*" else _names(if_none_match, tag)
        if kept is None and not has_it:
            self.misses += 1
            return None
        self.hits += 1
        if has_it:
            return Response(status_code=304, headers={"ETag": tag, "Vary": "Accept"})
        return kept.respond() if kept else None

    def keep(self, key: bytes, response: Response) -> Response:
        """Keep an answer, unless it is too large; returns it with its tag."""
        if response.status_code != 200:
            return response
        response.headers["ETag"] = _etag(key)
        kept = _Kept(bytes(response.body), tuple(response.raw_headers))
        if kept.n_bytes <= self._kept.maxsize // _LARGEST_SHARE:
            self._kept[key] = kept
        return response


def _digest(*parts: str) -> str:
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _etag(key: bytes) -> str:
    # weak: the last digit of an answer may differ by the batch that it was computed in
    return f'W/"{key.hex()[:32]}"'


def _names(if_none_match: str, tag: str) -> bool:
    """Whether a list of tags has this one; in a weak comparison `W/` does not count."""
    return tag.removeprefix("W/") in _TAG.findall(if_none_match)
