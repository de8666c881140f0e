"""Rate limits: exact for each key within a process, and a client can plan by `Retry-After`."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from limits import parse_many
from limits.aio.storage import MemoryStorage

from service.api.rate_limit import RateLimit, log_rate_limit
from service.api.rate_limit_storage import without_credentials
from service.api.response.problems import TYPE_PREFIX
from service.settings import load_settings
from tests.api.in_process import Connection, FakeEngine, connect
from tests.api.rate_limits import count_allowed, is_allowed, wait_s
from tests.api.sending import problem_of

FIRST, SECOND = "the-first-key-of-all", "the-second-key-of-all"
RAW = {"Content-Type": "image/jpeg"}
START_S = 10_000 * 24 * 3600.0  # where windows of seconds, minutes and days begin


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = START_S

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "time", clock)
    return clock


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


# --- in one process


@pytest.mark.parametrize("key", ["a", "b"])
def test_each_key_has_a_limit_of_its_own(runner: asyncio.Runner, clock: Clock, key: str) -> None:
    limit = RateLimit("5/minute")

    assert runner.run(count_allowed(limit, 20, key)) == 5
    assert runner.run(count_allowed(limit, 20, "b" if key == "a" else "a")) == 5


def test_the_window_slides(runner: asyncio.Runner, clock: Clock) -> None:
    limit = RateLimit("10/minute")
    assert runner.run(count_allowed(limit, 20)) == 10

    clock.now = START_S + 59.9
    assert not runner.run(is_allowed(limit))
    clock.now = START_S + 60.1  # no second burst where one window ends and another begins
    assert runner.run(count_allowed(limit, 20)) == 1
    assert runner.run(wait_s(limit)) == 6  # a tenth of the window
    clock.now = START_S + 90  # half of the ten have left the window
    assert runner.run(count_allowed(limit, 20)) == 4
    clock.now = START_S + 240
    assert runner.run(count_allowed(limit, 20)) == 10


def test_of_several_limits_each_holds(runner: asyncio.Runner, clock: Clock) -> None:
    limit = RateLimit("2/second;3/minute")

    assert runner.run(count_allowed(limit, 9)) == 2
    clock.now += 5
    assert runner.run(count_allowed(limit, 9)) == 1


def test_a_refused_request_counts_against_no_limit(runner: asyncio.Runner, clock: Clock) -> None:
    limit = RateLimit("100/hour;1/second")  # the longer one first

    for _ in range(100):
        clock.now += 2
        assert runner.run(count_allowed(limit, 10)) == 1
    clock.now += 2
    assert runner.run(wait_s(limit)) == 3600 - 202 + 1


def test_requests_at_the_same_time_get_no_more_than_the_limit(runner: asyncio.Runner) -> None:
    limit = RateLimit("20/month;30/month")

    async def send_all() -> int:
        return sum(await asyncio.gather(*(is_allowed(limit) for _ in range(100))))

    assert runner.run(send_all()) == 20


@example(text="7/minute", steps=[(1.0, 8)])
@given(
    text=st.sampled_from(["1/second", "3/second", "7/minute", "2/second;5/minute", "4/2 minutes"]),
    steps=st.lists(st.tuples(st.floats(0, 150), st.integers(1, 12)), min_size=1, max_size=12),
)
def test_at_retry_after_the_next_request_is_allowed(
    text: str, steps: list[tuple[float, int]]
) -> None:
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch, asyncio.Runner() as runner:
        patch.setattr(time, "time", clock)
        allowed_at = runner.run(_send_in_steps(RateLimit(text), clock, steps))
    for item in parse_many(text):
        expiry = item.get_expiry()
        for number in {at // expiry for at in allowed_at}:
            assert sum(at // expiry == number for at in allowed_at) <= item.amount


async def _send_in_steps(
    limit: RateLimit, clock: Clock, steps: list[tuple[float, int]]
) -> list[float]:
    """Send requests after pauses; returns when those that were allowed were sent."""
    allowed_at: list[float] = []
    for pause, n in steps:
        clock.now += pause
        for _ in range(n):
            if await is_allowed(limit):
                allowed_at.append(clock.now)
            else:
                await _assert_allowed_at_retry_after(limit, clock)
    return allowed_at


async def _assert_allowed_at_retry_after(limit: RateLimit, clock: Clock) -> None:
    storage = limit._storage.counters
    assert isinstance(storage, MemoryStorage)
    before = clock.now, storage.storage.copy(), storage.expirations.copy()
    clock.now += await wait_s(limit)
    assert await is_allowed(limit)
    clock.now, storage.storage, storage.expirations = before


# --- what the log says at start-up


@pytest.mark.parametrize(
    ("workers", "storage", "said"),
    [
        ("1", "", None),
        ("1", "memory://", None),
        ("3", "", "holds for each of the 3 workers"),
        ("3", "memory://", "LRPSERVE_RATE_LIMIT_STORAGE=redis://"),
        ("3", "redis://me:secret@host:6379/1?password=secret", "in redis://host:6379/1"),
    ],
)
def test_the_log_says_whether_workers_share_a_limit(
    caplog: pytest.LogCaptureFixture, workers: str, storage: str, said: str | None
) -> None:
    caplog.set_level(logging.INFO)
    settings = load_settings(
        workers=workers, rate_limit="5/minute", api_keys=FIRST, rate_limit_storage=storage
    )

    log_rate_limit(settings)

    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == (0 if said is None else 1)
    assert all((said or "") in message and "secret" not in message for message in messages)


def test_without_a_limit_the_log_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    log_rate_limit(load_settings(workers="3"))
    assert caplog.records == []


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("rediss://me:secret@[::1]:6379/0?password=secret", "rediss://[::1]:6379/0"),
        ("redis+unix:///run/redis.sock?db=1&password=secret", "redis+unix:///run/redis.sock"),
    ],
)
def test_a_uri_in_the_log_has_no_credentials(uri: str, shown: str) -> None:
    assert without_credentials(uri) == shown


# --- on the wire


@pytest.fixture
def limited() -> Iterator[Connection]:
    settings = load_settings(api_keys=f"{FIRST},{SECOND}", rate_limit="3/day")
    with connect(settings, FakeEngine()) as connection:
        yield connection


def post(limited: Connection, photo: bytes, key: str, path: str = "/predict") -> httpx.Response:
    return limited.request("POST", path, content=photo, headers={**RAW, "X-API-Key": key})


def test_beyond_the_limit_a_key_gets_a_429_and_the_others_are_served(
    limited: Connection, photo: bytes
) -> None:
    for path in ("/predict", "/explain", "/predict"):
        assert post(limited, photo, FIRST, path).status_code == 200

    for path in ("/predict", "/explain"):
        answer = post(limited, photo, FIRST, path)
        problem = problem_of(answer, 429, "3 requests per day", "try again in")
        assert problem.type == TYPE_PREFIX + "rate-limited"
        assert 0 < int(answer.headers["retry-after"]) <= 24 * 3600
    assert post(limited, photo, SECOND).status_code == 200


def test_only_predict_and_explain_are_limited(limited: Connection, photo: bytes) -> None:
    headers = {"X-API-Key": FIRST}
    for _ in range(5):
        assert limited.request("GET", "/models", headers=headers).status_code == 200
    assert post(limited, photo, FIRST).status_code == 200


def test_requests_without_a_known_key_count_for_no_key(limited: Connection, photo: bytes) -> None:
    for _ in range(5):
        assert post(limited, photo, "not-a-key-that-is-known").status_code == 401
    assert post(limited, photo, FIRST).status_code == 200
