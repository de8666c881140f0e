"""How often a key may ask, counted over all worker processes.

The counters stand in memory that the processes share, behind a lock of the file system: should a
process die while it holds the lock, the system releases it, and the others go on.
"""

from __future__ import annotations

import fcntl
import math
import mmap
import os
import struct
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.reduction import DupFd
from typing import Any

from limits import RateLimitItem, parse_many
from limits.storage import SlidingWindowCounterSupport, Storage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.requests import Request

from service.api_keys import name_of
from service.errors import RateLimited
from service.settings import Settings

_SLOT = struct.Struct("=qqq")  # number of the present window; requests in the one before, and in it


class SharedCounters(Storage, SlidingWindowCounterSupport):
    """Counts requests in two windows, the present one and the one before, for each key and limit.

    It can be handed to a process that `multiprocessing` spawns. Of each process one thread only,
    that of the event loop, may use it.

    Parameters
    ----------
    expiries : mapping of str to int
        Everything that is counted, and how long its window is in seconds.
    clock : callable
        Seconds, the same in all processes.
    descriptor : int, optional
        Of the file whose memory is shared; by default a new one, all zero.
    """

    STORAGE_SCHEME = None

    def __init__(
        self,
        expiries: Mapping[str, int],
        clock: Callable[[], float] = time.monotonic,
        descriptor: int | None = None,
    ) -> None:
        super().__init__()
        self._expiries, self._clock = dict(expiries), clock
        self._offsets = {key: _SLOT.size * number for number, key in enumerate(expiries)}
        size = _SLOT.size * len(expiries)
        if descriptor is None:
            descriptor = os.memfd_create("lrpserve-rate-limit")
            os.ftruncate(descriptor, size)
        self._descriptor, self._memory = descriptor, mmap.mmap(descriptor, size)
        weakref.finalize(self, os.close, descriptor)
        self._depth = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return _attach, (self._expiries, self._clock, DupFd(self._descriptor))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep all other processes out."""
        if self._depth == 0:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._depth == 0:
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    @property
    def base_exceptions(self) -> type[Exception]:
        """What can go wrong."""
        return OSError

    def acquire_sliding_window_entry(
        self, key: str, limit: int, expiry: int, amount: int = 1
    ) -> bool:
        """Count a request, unless there were too many."""
        with self.locked():
            before, before_ttl, present, _ = self.get_sliding_window(key, expiry)
            is_allowed = math.floor(before * before_ttl / expiry) + present + amount <= limit
            if is_allowed:
                self.incr(key, expiry, amount)
            return is_allowed

    def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """Requests in the window before, seconds until it counts no more; the same of this one."""
        now = self._clock()
        with self.locked():
            _, before, present = self._read(key, now)
        rest_s = expiry - now % expiry
        return before, rest_s, present, rest_s + expiry

    def clear_sliding_window(self, key: str, expiry: int) -> None:
        """Forget what was counted."""
        self.clear(key)

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count requests; returns how many there are in this window."""
        with self.locked():
            window, before, present = self._read(key, self._clock())
            self._write(key, window, before, present + amount)
        return present + amount

    def get(self, key: str) -> int:
        """How many requests there are in this window."""
        with self.locked():
            return self._read(key, self._clock())[2]

    def get_expiry(self, key: str) -> float:
        """When this window ends, in seconds since the epoch."""
        expiry = self._expiries[key]
        return time.time() + expiry - self._clock() % expiry

    def check(self) -> bool:
        """Whether it can be used."""
        return not self._memory.closed

    def clear(self, key: str) -> None:
        """Forget what was counted."""
        with self.locked():
            self._write(key, 0, 0, 0)

    def reset(self) -> int:
        """Forget everything; returns how many counters there are."""
        for key in self._offsets:
            self.clear(key)
        return len(self._offsets)

    def _read(self, key: str, now: float) -> tuple[int, int, int]:
        window, before, present = _SLOT.unpack_from(self._memory, self._offsets[key])
        number = int(now // self._expiries[key])
        if number == window:
            return window, before, present
        return number, present if number == window + 1 else 0, 0

    def _write(self, key: str, window: int, before: int, present: int) -> None:
        _SLOT.pack_into(self._memory, self._offsets[key], window, before, present)


class RateLimit:
    """Limits how often each key may ask, over a window that slides.

    Where there are several processes, one is made for all and handed to each: `multiprocessing`
    can spawn a process with it.

    Parameters
    ----------
    limits : str
        For example `100/minute`, or several: `10/second;1000/hour`.
    keys : sequence of str
        Names of the keys.
    clock : callable
        Seconds, the same in all processes.
    """

    def __init__(
        self, limits: str, keys: Sequence[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._items = list(dict.fromkeys(parse_many(limits)))
        expiries = {item.key_for(key): item.get_expiry() for key in keys for item in self._items}
        self._counters = SharedCounters(expiries, clock)
        self._limiter = SlidingWindowCounterRateLimiter(self._counters)

    def check(self, key: str) -> None:
        """Count a request of a key. One that is refused counts against none of the limits.

        Raises
        ------
        RateLimited
            There were too many.
        """
        with self._counters.locked():
            full = [item for item in self._items if not self._limiter.test(item, key)]
            if full:
                raise self._refusal(full, key)
            for item in self._items:
                self._limiter.hit(item, key)

    def _refusal(self, full: Sequence[RateLimitItem], key: str) -> RateLimited:
        exact_s, item = max((self._wait_s(item, key), item) for item in full)
        wait_s = math.floor(exact_s) + 1  # just after that
        return RateLimited(
            f"this key may send {item.amount} requests per {_window_text(item)}; "
            f"try again in {wait_s} s",
            headers={"Retry-After": str(wait_s)},
        )

    def _wait_s(self, item: RateLimitItem, key: str) -> float:
        """How long it takes until enough of the window before has slid out of sight."""
        expiry = item.get_expiry()
        before, rest_s, present, _ = self._counters.get_sliding_window(item.key_for(key), expiry)
        n_left = item.amount - present
        if n_left <= 0 or before == 0:
            return rest_s
        return max(0.0, rest_s - n_left * expiry / before)


def make_rate_limit(settings: Settings) -> RateLimit | None:
    """The rate limit that the settings ask for."""
    if settings.rate_limit is None:
        return None
    return RateLimit(settings.rate_limit, [name_of(key) for key in settings.api_keys])


def check_rate(request: Request, rate_limit: RateLimit | None) -> None:
    """Count a request of whoever sent it.

    Raises
    ------
    RateLimited
        There were too many.
    """
    if rate_limit is not None:
        rate_limit.check(request.state.key)


def _window_text(item: RateLimitItem) -> str:
    name = item.GRANULARITY.name
    return name if item.multiples == 1 else f"{item.multiples} {name}s"


def _attach(expiries: Mapping[str, int], clock: Callable[[], float], descriptor: Any) -> Any:
    return SharedCounters(expiries, clock, descriptor.detach())
