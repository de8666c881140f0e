"""Checks of the settings of rate limits. A leaf."""

from __future__ import annotations

import re
from importlib.util import find_spec

_HOST = r"([\w.-]+|\[[0-9A-Fa-f:.]+\])"
_STORAGE_URI = re.compile(
    rf"memory://|rediss?://([^@/\s]*@)?{_HOST}:\d{{1,5}}(/\d*)?(\?\S*)?|redis\+unix:///\S+"
)


def read_storage(uri: str) -> str:
    """Check the address of a storage, and return it as `limits` reads it.

    Raises
    ------
    ValueError
        It is none, or needs a package that is not installed.
    """
    uri = uri.strip().removeprefix("async+")
    if not _STORAGE_URI.fullmatch(uri):  # the message shows none of it: it may hold a password
        raise ValueError(
            "must be memory:// or redis://HOST:PORT/0, with a password "
            "redis://:PASSWORD@HOST:PORT/0 (reserved characters as %XX), with TLS rediss://..., "
            "on a socket redis+unix:///PATH"
        )
    if uri.startswith("redis") and find_spec("redis") is None:
        raise ValueError("needs the client for Redis: pip install 'lrpserve[redis]'")
    return uri


def check_limits(text: str) -> None:
    """Check the text of one or several limits.

    Raises
    ------
    ValueError
        It cannot be parsed, or allows nothing.
    """
    from limits import parse_many  # takes a while

    try:
        limits = parse_many(text)
    except ValueError:
        limits = []
    if not limits or min(limit.amount for limit in limits) < 1:
        raise ValueError("must be a limit like 100/minute, or several: 10/second;1000/hour")
