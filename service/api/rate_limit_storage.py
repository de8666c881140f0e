"""Storages of rate limits: the memory of this process, or Redis, which may be unreachable.

A request never waits for Redis longer than `TIMEOUT_S`. During an outage one request each
`RETRY_S` tries to reach it, and the others fail at once. The log says when an outage begins and
when it ends; it never has the password.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from limits.aio.storage import MemoryStorage, RedisStorage
from limits.errors import StorageError

from service.settings import PREFIX, SettingsError

if TYPE_CHECKING:
    from redis.asyncio import BlockingConnectionPool

logger = logging.getLogger(__name__)

MEMORY = "memory://"
TIMEOUT_S = 0.5
RETRY_S = 1.0
_KEY_PREFIX = "lrpserve"
_MAX_CONNECTIONS = 16  # to Redis, from each process; further calls wait for a free connection

_T = TypeVar("_T")


class StorageUnavailable(Exception):
    """The storage cannot be reached."""


class CounterStorage:
    """A storage of `limits`, with a timeout for its calls.

    Parameters
    ----------
    uri : str
        `memory://`, or the URI of a Redis.
    effect : str
        What happens to requests during an outage, for the log.

    Raises
    ------
    SettingsError
        The URI has options that a connection to Redis does not have.
    """

    def __init__(self, uri: str, effect: str) -> None:
        self._name, self._effect = without_credentials(uri), effect
        self._password = _password(uri)
        self._pool = None if uri == MEMORY else _connection_pool(uri)
        self.counters = _counters(uri, self._pool)
        self._is_down, self._retry_at = False, 0.0

    async def run(self, call: Coroutine[Any, Any, _T]) -> _T:
        """Await a call of the storage.

        Raises
        ------
        StorageUnavailable
            The call failed or took too long, or there is an outage.
        """
        if not self._may_try():
            call.close()
            raise StorageUnavailable
        try:
            async with asyncio.timeout(TIMEOUT_S):
                result = await call
        except (StorageError, TimeoutError) as error:
            self._begin_outage(error)
            raise StorageUnavailable from error
        self._end_outage()
        return result

    async def close(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            await self._pool.disconnect()

    def _may_try(self) -> bool:
        now = time.monotonic()
        if self._is_down and now < self._retry_at:
            return False
        self._retry_at = now + RETRY_S
        return True

    def _begin_outage(self, error: StorageError | TimeoutError) -> None:
        if not self._is_down:
            logger.error(
                "the rate limit's storage %s cannot be reached (%s): until it can, %s",
                *(self._name, self._reason(error), self._effect),
            )
        self._is_down, self._retry_at = True, time.monotonic() + RETRY_S

    def _end_outage(self) -> None:
        if self._is_down:
            logger.warning("the rate limit's storage %s can be reached again", self._name)
        self._is_down = False

    def _reason(self, error: StorageError | TimeoutError) -> str:
        if not isinstance(error, StorageError):
            return f"no reply within {TIMEOUT_S:g} s"
        cause = error.storage_error
        text = f"{type(cause).__name__}: {cause}"
        # some errors of Redis repeat the command with its arguments
        return text.replace(self._password, "***") if self._password else text


def without_credentials(uri: str) -> str:
    """The URI without user name, password and query, for the log."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _password(uri: str) -> str:
    parts = urlsplit(uri)
    return unquote(parts.password or "") or parse_qs(parts.query).get("password", [""])[0]


def _connection_pool(uri: str) -> BlockingConnectionPool:
    from redis.asyncio import BlockingConnectionPool  # an extra
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    try:
        pool = BlockingConnectionPool.from_url(
            uri.replace("redis+unix://", "unix://"),
            max_connections=_MAX_CONNECTIONS,
            timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 1),  # Redis may have closed an idle connection
        )
        # checks the options; it does not connect
        pool.make_connection()  # type: ignore[no-untyped-call]
    except (TypeError, ValueError):
        raise SettingsError(
            f"{PREFIX}RATE_LIMIT_STORAGE is wrong: what follows ? must be options of redis-py's "
            "connections, such as ?socket_keepalive=true"
        ) from None
    return pool


def _counters(uri: str, pool: BlockingConnectionPool | None) -> MemoryStorage | RedisStorage:
    if pool is None:
        return MemoryStorage()
    return RedisStorage(
        f"async+{uri}",
        wrap_exceptions=True,
        implementation="redispy",
        key_prefix=_KEY_PREFIX,
        connection_pool=pool,  # type: ignore[arg-type]  # its documentation allows it
    )
