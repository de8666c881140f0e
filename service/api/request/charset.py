"""Charsets of requests: text is UTF-8, and any other charset is refused before it is decoded."""

from __future__ import annotations

from python_multipart.multipart import parse_options_header

from service.errors import UnsupportedMediaType
from service.text import shorten

_MAX_CONTENT_TYPE = 1000  # characters
_UTF_8 = ("utf-8", "utf8", "us-ascii", "ascii")  # ASCII is a part of it
_LATIN = ("iso-8859-1", "latin1", "windows-1252")  # so is their first half


def check_content_type(content_type: str, text: bytes | None = None) -> None:
    """Check the parameters of a `Content-Type`.

    Parameters
    ----------
    content_type : str
        The header's value.
    text : bytes, optional
        The text of that type. Some clients say ISO-8859-1 unasked, which is UTF-8 if it is ASCII.

    Raises
    ------
    UnsupportedMediaType
        It has another charset than UTF-8, or is too long.
    """
    if len(content_type) > _MAX_CONTENT_TYPE:
        raise UnsupportedMediaType(
            f"the `Content-Type` has more than {_MAX_CONTENT_TYPE} characters; send its media type "
            "with at most a boundary and a charset"
        )
    _, parameters = parse_options_header(content_type)
    charset = parameters.get(b"charset", b"").decode("latin-1")
    if text is None or not text.isascii() or charset.strip().lower() not in _LATIN:
        check_charset(charset)


def check_charset(charset: str) -> None:
    """Check the name of a charset; an empty one says nothing.

    Raises
    ------
    UnsupportedMediaType
        It is not UTF-8.
    """
    if charset.strip().lower() not in ("", *_UTF_8):
        raise UnsupportedMediaType(
            f"the charset {shorten(charset)} is not supported; send text in UTF-8"
        )
