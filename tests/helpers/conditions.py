"""Wait for conditions instead of fixed times."""

from __future__ import annotations

import time
from collections.abc import Callable

LIMIT_S = 60.0


def wait_until(condition: Callable[[], object], limit_s: float = LIMIT_S) -> None:
    """Poll a condition until it is true; fail after a limit."""
    ends_at = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < ends_at, f"not true within {limit_s:g} s"
        time.sleep(0.02)
