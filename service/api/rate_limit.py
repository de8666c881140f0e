"""Rate limits: how many requests an API key may send within a sliding window.

Requests are counted in the memory of this process, or in a Redis that all workers and replicas
share. While Redis cannot be reached, requests are served without a limit (`open`) or get a 503
(`closed`).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

from limits import RateLimitItem, parse_many
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from starlette.requests import Request

from service.api.rate_limit_storage import (
    MEMORY,
    RETRY_S,
    CounterStorage,
    StorageUnavailable,
    without_credentials,
)
from service.errors import RateLimited, RateLimitUnavailable
from service.settings import PREFIX, RateLimitFail, Settings

logger = logging.getLogger(__name__)

_ROUNDING_S = 1e-3  # of the seconds that storages return
_EFFECTS: dict[RateLimitFail, str] = {
    "open": "requests are served without a rate limit",
    "closed": "requests get a 503",
}


class RateLimit:
    """Limits the number of requests of each key.

    Parameters
    ----------
    limits : str
        For example `100/minute`, or several: `10/second;1000/hour`.
    storage_uri : str
        Where requests are counted.
    fail : {"open", "closed"}
        Whether requests are served or refused while the storage cannot be reached.
    """

    def __init__(
        self, limits: str, storage_uri: str = MEMORY, fail: RateLimitFail = "open"
    ) -> None:
        self._items = list(dict.fromkeys(parse_many(limits)))
        self._storage = CounterStorage(storage_uri, _EFFECTS[fail])
        self._limiter = SlidingWindowCounterRateLimiter(self._storage.counters)
        self._fail = fail

    async def check(self, key: str) -> None:
        """Count a request of a key. A refused request counts against none of the limits.

        Raises
        ------
        RateLimited
            The key has sent too many.
        RateLimitUnavailable
            The storage cannot be reached, and `fail` is `closed`.
        """
        try:
            refusal = await self._storage.run(self._count(key))
        except StorageUnavailable:
            refusal = _unavailable() if self._fail == "closed" else None
        if refusal is not None:
            raise refusal

    async def close(self) -> None:
        """Close the connections to the storage."""
        await self._storage.close()

    async def _count(self, key: str) -> RateLimited | RateLimitUnavailable | None:
        exhausted = await self._exhausted(key)
        return await self._refusal(exhausted, key) if exhausted else None

    async def _exhausted(self, key: str) -> Sequence[RateLimitItem]:
        """Count a request; returns the limits that refuse it."""
        if len(self._items) > 1:  # no limit may count what another one refuses
            exhausted = [item for item in self._items if not await self._limiter.test(item, key)]
            if exhausted:
                return exhausted
        return [item for item in self._items if not await self._limiter.hit(item, key)]

    async def _refusal(self, exhausted: Sequence[RateLimitItem], key: str) -> RateLimited:
        exact_s, item = max([(await self._wait_s(item, key), item) for item in exhausted])
        wait_s = math.floor(exact_s + _ROUNDING_S) + 1  # just after that
        return RateLimited(
            f"this key may send {item.amount} requests per {_window_text(item)}; "
            f"try again in {wait_s} s",
            headers={"Retry-After": str(wait_s)},
        )

    async def _wait_s(self, item: RateLimitItem, key: str) -> float:
        """Seconds until the window has slid far enough for another request."""
        expiry_s = item.get_expiry()
        window = await self._storage.counters.get_sliding_window(item.key_for(key), expiry_s)
        n_previous, previous_ttl_s, n_current, current_ttl_s = window
        n_left = item.amount - n_current
        if n_left <= 0 or n_previous == 0:
            return max(0.0, current_ttl_s - expiry_s)
        return max(0.0, previous_ttl_s - n_left * expiry_s / n_previous)


def make_rate_limit(settings: Settings) -> RateLimit | None:
    """Make the rate limit of the settings; None where they have none."""
    if settings.rate_limit is None:
        return None
    return RateLimit(settings.rate_limit, _storage_uri(settings), settings.rate_limit_fail)


def log_rate_limit(settings: Settings) -> None:
    """Log where requests are counted, and that a limit in memory holds for each worker."""
    if settings.rate_limit is None:
        return
    uri = _storage_uri(settings)
    if uri != MEMORY:
        logger.info("rate limits are counted in %s", without_credentials(uri))
    elif settings.workers > 1:
        logger.warning(
            "the rate limit %s holds for each of the %d workers, so that a key may send up to %d "
            "times as many requests; for one limit in all set %sRATE_LIMIT_STORAGE=redis://...",
            *(settings.rate_limit, settings.workers, settings.workers, PREFIX),
        )


async def check_rate(request: Request, rate_limit: RateLimit | None) -> None:
    """Count a request of the key that it was sent with.

    Raises
    ------
    RateLimited
        The key has sent too many.
    RateLimitUnavailable
        The storage cannot be reached, and such requests are to be refused.
    """
    if rate_limit is not None:
        await rate_limit.check(request.state.key)


def _unavailable() -> RateLimitUnavailable:
    retry_s = math.ceil(RETRY_S)
    return RateLimitUnavailable(
        f"the rate limit of this key cannot be checked at the moment; try again in {retry_s} s",
        headers={"Retry-After": str(retry_s)},
    )


def _storage_uri(settings: Settings) -> str:
    return settings.rate_limit_storage.get_secret_value() if settings.rate_limit_storage else MEMORY


def _window_text(item: RateLimitItem) -> str:
    name = item.GRANULARITY.name
    return name if item.multiples == 1 else f"{item.multiples} {name}s"
