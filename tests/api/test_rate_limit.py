"""The rate limit: exact for each key, over all processes, and a client can plan by it."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from limits import parse_many
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from service.api.rate_limit import RateLimit, SharedCounters
from service.api.response.problems import TYPE_PREFIX
from service.errors import RateLimited
from service.settings import load_settings
from tests.api.in_process import Connection, FakeEngine, connect
from tests.api.sending import problem_of

FIRST, SECOND = "the-first-key-of-all", "the-second-key-of-all"
RAW = {"Content-Type": "image/jpeg"}
LIMIT_S = 60.0
_spawning = multiprocessing.get_context("spawn")


class Clock:
    """A clock that a test sets."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def is_allowed(limit: RateLimit, key: str = "a") -> bool:
    try:
        limit.check(key)
    except RateLimited:
        return False
    return True


def count_allowed(limit: RateLimit, n: int, key: str = "a") -> int:
    return sum(is_allowed(limit, key) for _ in range(n))


def wait_of(limit: RateLimit, key: str = "a") -> int:
    with pytest.raises(RateLimited) as refused:
        limit.check(key)
    wait_s = int(refused.value.headers["Retry-After"])
    assert f"try again in {wait_s} s" in refused.value.detail
    return wait_s


# --- in one process


@pytest.mark.parametrize("key", ["a", "b"])
def test_each_key_gets_what_the_limit_says_and_no_more(key: str) -> None:
    limit = RateLimit("5/minute", ["a", "b"], Clock())

    assert count_allowed(limit, 20, key) == 5
    assert count_allowed(limit, 20, "b" if key == "a" else "a") == 5


def test_the_window_slides() -> None:
    clock = Clock(0.0)
    limit = RateLimit("10/minute", ["a"], clock)
    assert count_allowed(limit, 20) == 10

    clock.now = 59.9
    assert not is_allowed(limit)
    clock.now = 60.1  # no second burst where one window ends and another begins
    assert count_allowed(limit, 20) == 1
    assert wait_of(limit) == 6  # a tenth of the window
    clock.now = 90.0  # half of the ten are out of sight
    assert count_allowed(limit, 20) == 4
    clock.now = 240.0
    assert count_allowed(limit, 20) == 10


def test_of_several_limits_each_holds() -> None:
    clock = Clock()
    limit = RateLimit("2/second;3/minute", ["a"], clock)

    assert count_allowed(limit, 9) == 2
    clock.now += 5
    assert count_allowed(limit, 9) == 1


def test_a_request_that_is_refused_counts_against_no_limit() -> None:
    clock = Clock(0.0)
    limit = RateLimit("100/hour;1/second", ["a"], clock)  # the longer one first

    for _ in range(100):
        clock.now += 2
        assert count_allowed(limit, 10) == 1
    clock.now += 2
    assert wait_of(limit) == 3600 - 202 + 1


@given(
    text=st.sampled_from(["1/second", "3/second", "7/minute", "2/second;5/minute", "4/2 minutes"]),
    steps=st.lists(st.tuples(st.floats(0, 150), st.integers(1, 12)), min_size=1, max_size=12),
)
def test_it_is_the_reference_s_limit_and_retry_after_is_when_it_ends(
    text: str, steps: list[tuple[float, int]]
) -> None:
    clock = Clock(0.0)
    limit = RateLimit(text, ["a"], clock)
    allowed_at: list[float] = []

    for pause, n in steps:
        clock.now += pause
        for _ in range(n):
            if is_allowed(limit):
                allowed_at.append(clock.now)
                continue
            now, wait_s = clock.now, wait_of(limit)
            clock.now = now + wait_s
            limit_as_it_was = bytes(limit._counters._memory)
            assert is_allowed(limit)
            limit._counters._memory[:] = limit_as_it_was
            clock.now = now
    for item in parse_many(text):
        expiry = item.get_expiry()
        for number in {at // expiry for at in allowed_at}:
            assert sum(at // expiry == number for at in allowed_at) <= item.amount


def test_the_counters_count_as_those_of_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(1_000_000.0)
    monkeypatch.setattr(time, "time", clock)
    (item,) = parse_many("20/minute")
    key = item.key_for("a")
    ours = SlidingWindowCounterRateLimiter(SharedCounters({key: 60}, clock))
    reference = SlidingWindowCounterRateLimiter(MemoryStorage())

    for step in range(400):
        clock.now += step * 7 % 11 / 1.9  # never where one of them rounds up and the other down
        assert ours.test(item, "a") == reference.test(item, "a")
        assert ours.hit(item, "a") == reference.hit(item, "a")
        ours_left, reference_left = (
            limiter.get_window_stats(item, "a").remaining for limiter in (ours, reference)
        )
        assert ours_left == reference_left


def test_what_was_counted_can_be_forgotten() -> None:
    counters = SharedCounters({"a": 60, "b": 60}, Clock())
    for key in ("a", "b", "b"):
        counters.incr(key, 60)

    counters.clear("a")
    assert (counters.get("a"), counters.get("b")) == (0, 2)
    assert counters.reset() == 2
    assert counters.get("b") == 0
    assert counters.check()
    assert 0 < counters.get_expiry("a") - time.time() <= 60


# --- over several processes


def ask(limit: RateLimit, barrier: Barrier, n: int, answers: SimpleQueue[tuple[int, int]]) -> None:
    barrier.wait(LIMIT_S)
    answers.put((count_allowed(limit, n, "a"), count_allowed(limit, n, "b")))


def test_two_processes_together_get_what_the_limit_says_and_no_more() -> None:
    # so long a window does not end during the test
    limit = RateLimit("1000/month", ["a", "b"])
    assert count_allowed(limit, 10, "b") == 10
    barrier, answers = _spawning.Barrier(2), _spawning.SimpleQueue()
    processes = [
        _spawning.Process(target=ask, args=(limit, barrier, 900, answers)) for _ in range(2)
    ]
    for process in processes:
        process.start()
    counts = [answers.get() for _ in processes]
    for process in processes:
        process.join(LIMIT_S)

    assert [process.exitcode for process in processes] == [0, 0]
    assert sum(of_a for of_a, _ in counts) == 1000
    assert sum(of_b for _, of_b in counts) == 990
    assert not is_allowed(limit, "a")
    assert not is_allowed(limit, "b")


def hold(limit: RateLimit, answers: SimpleQueue[bool]) -> None:
    with limit._counters.locked():
        limit._counters.incr("LIMITER/a/2/1/month", 1)
        answers.put(True)
        time.sleep(LIMIT_S)


@pytest.mark.timeout(60)
def test_a_process_that_is_killed_while_it_counts_holds_up_nobody() -> None:
    limit = RateLimit("2/month", ["a"])
    answers = _spawning.SimpleQueue()
    process = _spawning.Process(target=hold, args=(limit, answers))
    process.start()
    answers.get()
    with pytest.raises(BlockingIOError):  # so it does hold the lock
        fcntl.lockf(limit._counters._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.kill(process.pid or 0, signal.SIGKILL)

    assert count_allowed(limit, 5) == 1  # it has counted one
    process.join(LIMIT_S)


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


def test_only_what_computes_is_limited(limited: Connection, photo: bytes) -> None:
    headers = {"X-API-Key": FIRST}
    for _ in range(5):
        assert limited.request("GET", "/models", headers=headers).status_code == 200
    assert post(limited, photo, FIRST).status_code == 200


def test_requests_without_a_good_key_count_for_nobody(limited: Connection, photo: bytes) -> None:
    for _ in range(5):
        assert post(limited, photo, "not-a-key-that-is-known").status_code == 401
    assert post(limited, photo, FIRST).status_code == 200
