"""Rate limits in a real Redis: shared, exact, and what happens while it cannot be reached."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis
from limits.errors import StorageError

from service.api import rate_limit_storage
from service.api.rate_limit import RateLimit, make_rate_limit
from service.api.rate_limit_storage import CounterStorage, StorageUnavailable
from service.api_keys import hash_key, name_of
from service.errors import RateLimitUnavailable
from service.settings import RateLimitFail, SettingsError, load_settings
from tests.api.in_process import FakeEngine, connect
from tests.api.rate_limits import count_allowed, is_allowed, wait_s
from tests.api.sending import problem_of
from tests.helpers.redis_server import RedisServer, running_redis

KEY, PASSWORD = "a-key-of-the-tests", "the-password-of-redis"
LIMIT_S = 30.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as running:
        yield running


@pytest.fixture(autouse=True)
def attempts_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request during an outage tries to reach the storage."""
    monkeypatch.setattr(rate_limit_storage, "RETRY_S", 0.0)


@asynccontextmanager
async def opened(limits: str, uri: str, fail: RateLimitFail = "open") -> AsyncIterator[RateLimit]:
    limit = RateLimit(limits, uri, fail)
    try:
        yield limit
    finally:
        await limit.close()


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


# --- while it can be reached


def test_two_processes_share_a_limit_and_another_key_has_its_own(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limit_storage, "TIMEOUT_S", LIMIT_S)  # 200 requests, on a busy machine

    async def send() -> None:
        async with opened("20/month", server.url) as one, opened("20/month", server.url) as other:
            requests = [is_allowed(limit) for limit in (one, other) for _ in range(100)]
            assert sum(await asyncio.gather(*requests)) == 20
            assert await count_allowed(other, 30, "b") == 20

    asyncio.run(send())


def test_at_retry_after_the_next_request_is_allowed(server: RedisServer) -> None:
    async def send() -> None:
        async with opened("3/second", server.url) as limit:
            assert await count_allowed(limit, 5) == 3
            await asyncio.sleep(await wait_s(limit))
            assert await is_allowed(limit)

    asyncio.run(send())


def test_a_refused_request_counts_against_no_limit(server: RedisServer) -> None:
    async def send() -> None:
        async with (
            opened("4/month;2/day", server.url) as both,
            opened("4/month", server.url) as month,
        ):
            assert await count_allowed(both, 9) == 2
            assert await count_allowed(month, 9) == 2

    asyncio.run(send())


def test_keys_have_a_prefix_and_no_api_key(server: RedisServer) -> None:
    settings = load_settings(api_keys=KEY, rate_limit="5/month", rate_limit_storage=server.url)
    with connect(settings, FakeEngine()) as service:
        service.request("POST", "/predict", headers={"X-API-Key": KEY})

    (key,) = server.keys()

    assert key == f"lrpserve:{{LIMITER/{name_of(hash_key(KEY))}/5/1/month}}"


@pytest.mark.parametrize("uri", ["redis://:{}@127.0.0.1:{}/3", "async+redis://:{}@127.0.0.1:{}"])
def test_a_password_is_sent_and_a_wrong_one_is_not_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, uri: str
) -> None:
    async def count(port: int, password: str) -> int:
        settings = load_settings(rate_limit_storage=uri.format(password, port))
        assert settings.rate_limit_storage
        async with opened("2/day", settings.rate_limit_storage.get_secret_value()) as limit:
            return await count_allowed(limit, 5)

    with running_redis(tmp_path, PASSWORD) as guarded:
        assert asyncio.run(count(guarded.port, PASSWORD)) == 2
        assert logged(caplog) == []
        assert asyncio.run(count(guarded.port, "a-wrong-password")) == 5
    (line,) = logged(caplog)
    assert "AuthenticationError" in line
    assert "a-wrong-password" not in line


@pytest.mark.parametrize(
    "uri", ["redis://:p%40ss-word@host:1/0", "redis://host:1/0?password=p%40ss-word"]
)
def test_an_error_that_repeats_the_password_is_masked(
    caplog: pytest.LogCaptureFixture, uri: str
) -> None:
    async def fail() -> None:
        repeated = "unknown command 'HELLO', with args beginning with: 'p@ss-word'"
        raise StorageError(redis.ResponseError(repeated))

    with pytest.raises(StorageUnavailable):
        asyncio.run(CounterStorage(uri, "requests are served").run(fail()))

    (line,) = logged(caplog)
    assert "unknown command" in line
    assert "word" not in line


@pytest.mark.parametrize("query", ["colour=red", "socket_timeout=soon", "db=first"])
def test_options_that_redis_does_not_have_are_an_error_at_start_up(query: str) -> None:
    uri = f"redis://:secret@host:6379?{query}"
    settings = load_settings(api_keys=KEY, rate_limit="5/day", rate_limit_storage=uri)
    with pytest.raises(SettingsError, match="LRPSERVE_RATE_LIMIT_STORAGE is wrong") as refused:
        make_rate_limit(settings)
    assert "secret" not in refused.value.detail


# --- while it cannot


@pytest.mark.parametrize("failure", ["stop", "freeze"])
def test_open_serves_without_a_limit_and_logs_it_once(
    server: RedisServer, caplog: pytest.LogCaptureFixture, failure: str
) -> None:
    async def send() -> None:
        async with opened("3/month", server.url) as limit:
            assert await count_allowed(limit, 5) == 3
            getattr(server, failure)()
            assert sum(await asyncio.gather(*(is_allowed(limit) for _ in range(40)))) == 40
            recover(server, failure)
            await wait_until_refused(limit)

    asyncio.run(send())
    down, up = logged(caplog)
    assert down.startswith(f"the rate limit's storage {server.url} cannot be reached (")
    assert down.endswith("until it can, requests are served without a rate limit")
    assert up == f"the rate limit's storage {server.url} can be reached again"


@pytest.mark.parametrize("failure", ["stop", "freeze"])
def test_closed_refuses_with_a_503(
    server: RedisServer, photo: bytes, failure: str, caplog: pytest.LogCaptureFixture
) -> None:
    given = {"rate_limit_storage": server.url, "rate_limit_fail": "closed"}
    settings = load_settings(api_keys=KEY, rate_limit="9/month", **given)
    headers = {"X-API-Key": KEY, "Content-Type": "image/jpeg"}
    caplog.set_level(logging.WARNING, rate_limit_storage.__name__)

    with connect(settings, FakeEngine()) as service:
        getattr(server, failure)()
        for _ in range(2):
            answer = service.request("POST", "/predict", content=photo, headers=headers)
            problem = problem_of(answer, 503, "cannot be checked", "try again in")
            assert problem.type.endswith(":rate-limit-unavailable")
            assert int(answer.headers["retry-after"]) >= 1
        recover(server, failure)
        answer = service.request("POST", "/predict", content=photo, headers=headers)
        assert answer.status_code == 200

    down, up = logged(caplog)
    assert down.endswith("until it can, requests get a 503")
    assert "again" in up


def test_replies_that_come_too_late_are_no_replies_to_others(server: RedisServer) -> None:
    async def send() -> None:
        async with opened("5/month", server.url, "closed") as limit:
            assert await count_allowed(limit, 4) == 4
            server.freeze()
            with pytest.raises(RateLimitUnavailable):
                await limit.check("b")  # the reply to this, when it comes, allows a request
            server.thaw()
            assert await count_allowed(limit, 1) == 1
            assert await count_allowed(limit, 3) == 0

    asyncio.run(send())


@pytest.mark.alone
def test_a_frozen_redis_holds_up_one_request_each_second(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limit_storage, "RETRY_S", LIMIT_S)

    async def send() -> tuple[float, float]:
        async with opened("5/month", server.url) as limit:
            server.freeze()
            began = time.monotonic()
            await limit.check("a")
            first_s = time.monotonic() - began
            began = time.monotonic()
            for _ in range(100):
                await limit.check("a")
            return first_s, time.monotonic() - began

    first_s, others_s = asyncio.run(send())
    assert others_s < first_s / 5


def recover(server: RedisServer, failure: str) -> None:
    if failure == "stop":
        server.start()
    else:
        server.thaw()


async def wait_until_refused(limit: RateLimit) -> None:
    limit_at = time.monotonic() + LIMIT_S
    while await is_allowed(limit):
        assert time.monotonic() < limit_at
