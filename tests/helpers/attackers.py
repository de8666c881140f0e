"""Requests from a process of their own: what they build and read does not hold up the tests."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx

LIMIT_S = 60.0


@contextmanager
def attacking_process() -> Iterator[ProcessPoolExecutor]:
    """A process that runs `post`."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        pool.submit(post, "", {}).exception()  # it takes a while to start
        yield pool


def post(url: str, request: dict[str, Any]) -> httpx.Response:
    """Send a request, to `/explain` by default."""
    rest = {name: value for name, value in request.items() if name != "path"}
    return httpx.post(url + request.get("path", "/explain"), timeout=LIMIT_S, **rest)
