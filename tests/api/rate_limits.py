"""Send requests to a rate limit, and count which it allows."""

from __future__ import annotations

import pytest

from service.api.rate_limit import RateLimit
from service.errors import RateLimited


async def is_allowed(limit: RateLimit, key: str = "a") -> bool:
    """Whether a request is allowed; it is counted if it is."""
    try:
        await limit.check(key)
    except RateLimited:
        return False
    return True


async def count_allowed(limit: RateLimit, n: int, key: str = "a") -> int:
    """How many of `n` requests are allowed."""
    return sum([await is_allowed(limit, key) for _ in range(n)])


async def wait_s(limit: RateLimit, key: str = "a") -> int:
    """`Retry-After` of a request that is refused."""
    with pytest.raises(RateLimited) as refused:
        await limit.check(key)
    seconds = int(refused.value.headers["Retry-After"])
    assert f"try again in {seconds} s" in refused.value.detail
    return seconds
