"""ICC profiles for tests (ICC.1:2022): of grey and CMYK, written byte by byte."""

from __future__ import annotations

import struct
from itertools import product


def grey_profile(gamma: float) -> bytes:
    """A profile of grey levels with a power curve."""
    curve = struct.pack(">4sIIH", b"curv", 0, 1, round(gamma * 256))
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"wtpt": _white(), b"kTRC": curve})


def cmyk_profile() -> bytes:
    """A profile in which all inks are grey: three of them as dark as black."""
    corners = (
        (round(255 * (1 - (c + m + y) / 3) * (1 - k)), 128, 128)  # L*, a*, b*
        for c, m, y, k in product((0, 1), repeat=4)
    )
    identity = [int(row == column) << 16 for row in range(3) for column in range(3)]
    ramp = bytes(range(256))
    table = struct.pack(">4sI4B9i", b"mft1", 0, 4, 3, 2, 0, *identity)
    table += ramp * 4 + b"".join(map(bytes, corners)) + ramp * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"wtpt": _white(), b"A2B0": table})


def _white() -> bytes:
    return struct.pack(">4sI3i", b"XYZ ", 0, 63190, 65536, 54061)  # D50


def _profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    position = 128 + 4 + 12 * len(tags)
    table, data = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += struct.pack(">4sII", name, position + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    header = struct.pack(">I4xI4s4s4s12x4s28x3i", position + len(data), 0x02400000, kind, space,
                         connection, b"acsp", 63190, 65536, 54061)  # fmt: skip
    return header.ljust(128, b"\0") + table + data
