"""Rate limits: how many requests an API key may send within a sliding window.

Requests are counted in a storage of `limits`, named by a URI: the memory of this process, or a
Redis that all workers and replicas share. While the storage cannot be reached, requests are either
served without a limit (`open`) or refused with a 503 (`closed`); the log says when that begins and
when it ends.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from limits import RateLimitItem, parse_many
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError
from starlette.requests import Request

from service.errors import RateLimited, RateLimitUnavailable
from service.settings import PREFIX, RateLimitFail, Settings

if TYPE_CHECKING:
    from redis.asyncio import BlockingConnectionPool

logger = logging.getLogger(__name__)

MEMORY = "memory://"
KEY_PREFIX = "lrpserve"  # of what is stored in Redis
TIMEOUT_S = 0.5  # for a request's calls of the storage, all together
_RETRY_S = 1.0  # during an outage: between two attempts to reach the storage
_MAX_CONNECTIONS = 16  # to Redis, from each process; further calls wait for a free connection


class Outage:
    """Tracks whether the storage can be reached, and logs each change once.

    Parameters
    ----------
    storage_uri : str
        Of the storage; the log shows it without user name, password and query.
    effect : str
        What happens to requests meanwhile.
    """

    def __init__(self, storage_uri: str, effect: str) -> None:
        self._name, self._effect = without_credentials(storage_uri), effect
        self._password = unquote(urlsplit(storage_uri).password or "")
        self._is_on, self._retry_at = False, 0.0

    def may_try(self) -> bool:
        """Whether to call the storage: always, but during an outage once every second."""
        now = time.monotonic()
        if self._is_on and now < self._retry_at:
            return False
        self._retry_at = now + _RETRY_S
        return True

    def begin(self, error: StorageError | TimeoutError) -> None:
        """Note that a call failed."""
        if not self._is_on:
            logger.error(
                "the rate limit's storage %s cannot be reached (%s): until it can, %s",
                *(self._name, self._reason(error), self._effect),
            )
        self._is_on, self._retry_at = True, time.monotonic() + _RETRY_S

    def end(self) -> None:
        """Note that a call succeeded."""
        if self._is_on:
            logger.warning("the rate limit's storage %s can be reached again", self._name)
        self._is_on = False

    def _reason(self, error: StorageError | TimeoutError) -> str:
        if not isinstance(error, StorageError):
            return f"no reply within {TIMEOUT_S:g} s"
        cause = error.storage_error
        text = f"{type(cause).__name__}: {cause}"
        # some replies of Redis repeat the command that they refuse
        return text.replace(self._password, "***") if self._password else text


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
        self._pool = None if storage_uri == MEMORY else _connection_pool(storage_uri)
        self._storage = _storage(storage_uri, self._pool)
        self._limiter = SlidingWindowCounterRateLimiter(self._storage)
        self._fail = fail
        self._outage = Outage(storage_uri, _EFFECTS[fail])

    async def check(self, key: str) -> None:
        """Count a request of a key. A refused request counts against none of the limits.

        Raises
        ------
        RateLimited
            The key has sent too many.
        RateLimitUnavailable
            The storage cannot be reached, and `fail` is `closed`.
        """
        error = await self._count_or_fail(key)
        if error is not None:
            raise error

    async def close(self) -> None:
        """Close the connections to the storage."""
        if self._pool is not None:
            await self._pool.disconnect()

    async def _count_or_fail(self, key: str) -> RateLimited | RateLimitUnavailable | None:
        if not self._outage.may_try():
            return self._unavailable()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                refusal = await self._count(key)
        except (StorageError, TimeoutError) as error:
            self._outage.begin(error)
            return self._unavailable()
        self._outage.end()
        return refusal

    def _unavailable(self) -> RateLimitUnavailable | None:
        if self._fail == "open":
            return None
        retry_s = math.ceil(_RETRY_S)
        return RateLimitUnavailable(
            f"the rate limit of this key cannot be checked at the moment; try again in {retry_s} s",
            headers={"Retry-After": str(retry_s)},
        )

    async def _count(self, key: str) -> RateLimited | None:
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
        wait_s = math.floor(exact_s) + 1  # just after that
        return RateLimited(
            f"this key may send {item.amount} requests per {_window_text(item)}; "
            f"try again in {wait_s} s",
            headers={"Retry-After": str(wait_s)},
        )

    async def _wait_s(self, item: RateLimitItem, key: str) -> float:
        """Seconds until the window has slid far enough for another request."""
        expiry_s = item.get_expiry()
        window = await self._storage.get_sliding_window(item.key_for(key), expiry_s)
        n_previous, previous_ttl_s, n_current, current_ttl_s = window
        n_left = item.amount - n_current
        if n_left <= 0 or n_previous == 0:
            return max(0.0, current_ttl_s - expiry_s)
        return max(0.0, previous_ttl_s - n_left * expiry_s / n_previous)


_EFFECTS: dict[RateLimitFail, str] = {
    "open": "requests are served without a rate limit",
    "closed": "requests get a 503",
}


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


def without_credentials(uri: str) -> str:
    """The URI without user name, password and query, for the log."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _connection_pool(uri: str) -> BlockingConnectionPool:
    from redis.asyncio import BlockingConnectionPool  # an extra
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    return BlockingConnectionPool.from_url(
        uri.replace("redis+unix://", "unix://"),
        max_connections=_MAX_CONNECTIONS,
        timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 1),  # Redis may have closed an idle connection
    )


def _storage(uri: str, pool: BlockingConnectionPool | None) -> MemoryStorage | RedisStorage:
    if pool is None:
        return MemoryStorage()
    return RedisStorage(
        f"async+{uri}",
        wrap_exceptions=True,
        implementation="redispy",
        key_prefix=KEY_PREFIX,
        connection_pool=pool,  # type: ignore[arg-type]  # its documentation allows it
    )


def _storage_uri(settings: Settings) -> str:
    return settings.rate_limit_storage.get_secret_value() if settings.rate_limit_storage else MEMORY


def _window_text(item: RateLimitItem) -> str:
    name = item.GRANULARITY.name
    return name if item.multiples == 1 else f"{item.multiples} {name}s"
