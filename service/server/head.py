"""Checks of a request's head that the parser does not make (RFC 9110 and 9112).

The parser refuses what lets a proxy and a server disagree about where a request ends: a
`Content-Length` beside `Transfer-Encoding`, two lengths, folded headers, bare line feeds, zero
bytes. Here are the others: the version, the number of headers, `Host`, codings of the transfer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from service.errors import BrokenRequest, HeadTooLarge

MAX_HEADERS = 128
_VERSIONS = ("1.1", "1.0")
# a name, an IPv4 address or an IPv6 address in brackets, and a port; it may be empty
_HOST = re.compile(rb"(\[[0-9A-Za-z:.%~_-]+\]|[0-9A-Za-z._~!$&'()*+,;=%-]*)(:[0-9]*)?")


def check_head(version: str, headers: Sequence[tuple[bytes, bytes]]) -> int | None:
    """Check a head, and return the number of bytes of the body; None if it comes in chunks.

    Parameters
    ----------
    version : str
        Of HTTP, as "1.1".
    headers : sequence of (bytes, bytes)
        Names in lower case, and values.

    Raises
    ------
    HeadTooLarge
        There are more than `MAX_HEADERS` headers.
    BrokenRequest
        The version is another; `Host` is absent, there twice, or none; or the body has a transfer
        coding other than `chunked`.
    """
    if len(headers) > MAX_HEADERS:
        raise HeadTooLarge(f"the request has more than {MAX_HEADERS} headers; send fewer")
    if version not in _VERSIONS:
        raise BrokenRequest(f"HTTP/{version} is not supported; send the request as HTTP/1.1")
    hosts, n_body_bytes = [], 0
    for name, value in headers:
        if name == b"host":
            hosts.append(value)
        elif name == b"content-length":
            n_body_bytes = int(value)
    _check_host(hosts, is_needed=version != "1.0")
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if not codings:
        return n_body_bytes
    if [coding.strip().lower() for coding in codings] != [b"chunked"]:
        raise BrokenRequest(
            "the only `Transfer-Encoding` is `chunked`; a compressed body has a `Content-Encoding`"
        )
    return None


def _check_host(hosts: Sequence[bytes], *, is_needed: bool) -> None:
    if len(hosts) > 1 or (is_needed and not hosts):
        number = "several `Host` headers" if hosts else "no `Host` header"
        raise BrokenRequest(f"the request has {number}; send exactly one")
    if hosts and not _HOST.fullmatch(hosts[0].strip()):
        raise BrokenRequest("the `Host` header is no host with a port; send one like a.example:80")
