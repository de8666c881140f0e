"""Text of clients and files as messages show it: printable, and not too long. A leaf."""

from __future__ import annotations

import re

_MAX_LENGTH = 60
# control characters, line and paragraph separators, what changes the direction of text, and bytes
# of file names that are not UTF-8
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def escape(text: str) -> str:
    r"""Escape control characters and lone surrogates: a bell becomes `\x07`."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def shorten(text: str, max_length: int = _MAX_LENGTH) -> str:
    """Cut a text to some characters, with "..." in place of the rest, and escape it."""
    is_long = len(text) > max_length
    return escape(text[:max_length]) + ("..." if is_long else "")
