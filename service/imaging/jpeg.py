"""Detection of damaged JPEGs (ITU-T T.81).

libjpeg fills what it cannot decode with grey and warns, and Pillow drops the warnings. What shows
without decoding the coefficients a second time: a missing end, markers that cannot stand where they
stand, restart markers out of order, and zeros in place of coefficients.
"""

from __future__ import annotations

import re

from service.errors import TooLarge

_SCAN, _END, _HUFFMAN_TABLES = 0xDA, 0xD9, 0xC4
_MARKER = re.compile(rb"\xff([\x01-\xfe])")
_MARKER_AFTER_SCAN = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
_RESTART = re.compile(rb"\xff([\xd0-\xd7])")
_RESTARTS = bytes(range(0xD0, 0xD8))
_STANDALONE = frozenset((0x01, 0xD8, *_RESTARTS))  # markers without a segment
# what may follow a scan: tables, another scan, comments, application data, the end
_AFTER_SCAN = frozenset((0xC4, 0xCC, _END, _SCAN, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)))
# so many zeros are dozens of blocks that have the same coefficients, none of them zero
_ZEROS = bytes(256)
_END_OF_BLOCK_SIZE = 0
_LENGTH_BYTES = 2
# cameras and encoders write about ten; each scan goes over all pixels again
_MAX_SCANS = 100
_MAX_MARKERS = 20_000


def verify_jpeg(content: bytes) -> None:
    """Verify the structure of a JPEG up to its first end marker; what follows is not looked at.

    Raises
    ------
    ValueError
        The file is truncated or damaged.
    TooLarge
        It has too many scans or markers.
    """
    tables: list[bytes] = []
    at, n_scans = _LENGTH_BYTES, 0
    for _ in range(_MAX_MARKERS):
        marker = _MARKER.search(content, at)
        if marker is None:
            raise ValueError("the JPEG has no end marker")
        at = marker.end()
        code = content[at - 1]
        if code == _END:
            return
        if code in _STANDALONE:
            continue
        end = at + int.from_bytes(content[at : at + _LENGTH_BYTES], "big")
        if code == _HUFFMAN_TABLES:
            tables.append(content[at + _LENGTH_BYTES : end])
        if code == _SCAN:
            n_scans += 1
            if n_scans > _MAX_SCANS:
                raise TooLarge(
                    f"the JPEG has more than {_MAX_SCANS} scans; save it anew, as a baseline JPEG"
                )
            end = _verify_scan(content, end, content[at + _LENGTH_BYTES : end], tables)
        at = end
    raise TooLarge(f"the JPEG has more than {_MAX_MARKERS} markers; save it anew")


def _verify_scan(content: bytes, start: int, header: bytes, tables: list[bytes]) -> int:
    """Verify the entropy-coded data of a scan, and return where the next marker stands."""
    after = first = _MARKER.search(content, start)
    if first is not None and first[1] in _RESTARTS:
        after = _MARKER_AFTER_SCAN.search(content, first.end())
    if after is None:
        raise ValueError("the JPEG ends within a scan")
    end = after.start()
    if after[1][0] not in _AFTER_SCAN:
        raise ValueError(f"the marker FF {after[1].hex()} cannot stand in a scan")
    if after is not first:
        _verify_restarts(b"".join(_RESTART.findall(content, start, end)))
    if content.find(_ZEROS, start, end) >= 0 and _zeros_are_coefficients(header, tables):
        raise ValueError("a scan has zeros in place of coefficients")
    return end


def _verify_restarts(codes: bytes) -> None:
    if codes != (_RESTARTS * (len(codes) // len(_RESTARTS) + 1))[: len(codes)]:
        raise ValueError("restart markers are out of order")


def _zeros_are_coefficients(header: bytes, segments: list[bytes]) -> bool:
    """Whether zero bits decode to coefficients that are not zero, by a scan's Huffman tables.

    Zeros are the end of a block in optimized tables, where a flat area is a long run of them.
    """
    n_components = header[0]
    first, last, approximation = header[1 + 2 * n_components : 4 + 2 * n_components]
    is_refinement, is_dc_only = approximation >> 4 > 0, last == first == 0
    if is_refinement or is_dc_only:
        return False
    symbols: dict[int, int] = {}
    for segment in segments:
        symbols.update(_first_ac_symbols(segment))
    tables = [header[2 + 2 * i] & 15 for i in range(n_components)]
    return any(symbols.get(table, 0) & 15 != _END_OF_BLOCK_SIZE for table in tables)


def _first_ac_symbols(segment: bytes) -> dict[int, int]:
    """The symbol whose code has only zero bits, for each AC table that a segment defines."""
    symbols, at = {}, 0
    while at + 17 < len(segment):
        is_ac, table = segment[at] >> 4, segment[at] & 15
        if is_ac:
            symbols[table] = segment[at + 17]
        at += 17 + sum(segment[at + 1 : at + 17])
    return symbols
