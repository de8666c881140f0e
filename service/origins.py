"""Origins for CORS, in the form in which browsers send them."""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from urllib.parse import urlsplit

_HOST = re.compile(r"[a-z0-9._-]+")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_FORM = "must be exact origins, like https://page.example or http://localhost:3000"


def read_origin(text: str) -> str:
    """Check an origin, and return it.

    Raises
    ------
    ValueError
        No browser sends it in this form; the message says what to write.
    """
    exact = _as_browsers_write(text)
    if exact == text:
        return text
    raise ValueError(
        f"{_FORM}: instead of {text} write {exact}"
        if exact
        else f"{_FORM}: {text} is not an origin (* and null are none; other alphabets are xn--)"
    )


def _as_browsers_write(text: str) -> str | None:
    """Scheme, host, and a port that is not the scheme's default; None if it is no origin."""
    try:
        parts = urlsplit(text)
        host, port = _read_host(parts.hostname or ""), parts.port
    except ValueError:  # brackets without an address, or an invalid port
        return None
    if not parts.scheme or host is None:
        return None
    has_port = port is not None and port != _DEFAULT_PORTS.get(parts.scheme)
    return f"{parts.scheme}://{host}" + (f":{port}" if has_port else "")


def _read_host(host: str) -> str | None:
    if ":" in host:
        return f"[{IPv6Address(host)}]"
    return host if _HOST.fullmatch(host) else None
