"""ICC profiles for colour spaces that a file names by numbers: gAMA and cHRM, or code points.

Sources: PNG, third edition (gAMA, cHRM, cICP); ITU-T H.273 (code points); ICC.1:2022 (profiles).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

Chromaticities = tuple[float, float, float, float, float, float, float, float]
# x and y of white, red, green and blue
SRGB: Chromaticities = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
_PRIMARIES: dict[int, Chromaticities] = {
    1: SRGB,
    2: SRGB,
    5: (0.3127, 0.329, 0.64, 0.33, 0.29, 0.6, 0.15, 0.06),  # BT.601, 625 lines
    6: (0.3127, 0.329, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),  # BT.601, 525 lines
    9: (0.3127, 0.329, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046),  # BT.2020
    11: (0.314, 0.351, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),  # DCI-P3
    12: (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),  # Display P3
}
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


@dataclass(frozen=True)
class Curve:
    """Transfer curve to linear light: (a x + b)^g from d on, c x below."""

    g: float
    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    d: float = 0.0


SRGB_CURVE = Curve(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
BT1886_CURVE = Curve(2.4)
_CURVES = {2: SRGB_CURVE, 4: Curve(2.2), 5: Curve(2.8), 8: Curve(1.0), 13: SRGB_CURVE}
_VIDEO_TRANSFERS = (1, 6, 14, 15)  # of BT.709, BT.601 and BT.2020
HDR_TRANSFERS = {16: "PQ", 18: "HLG"}


def profile_of_code_points(primaries: int, transfer: int, video_curve: Curve) -> bytes | None:
    """The profile for code points of H.273; None where they are not known.

    Parameters
    ----------
    primaries, transfer : int
        The code points; unspecified ones (2) are those of sRGB.
    video_curve : Curve
        The curve of video's transfers, which browsers take for different ones in different formats.
    """
    curve = video_curve if transfer in _VIDEO_TRANSFERS else _CURVES.get(transfer)
    if primaries not in _PRIMARIES or curve is None:
        return None
    return matrix_profile(_PRIMARIES[primaries], curve)


@lru_cache(maxsize=32)
def matrix_profile(chromaticities: Chromaticities, curve: Curve) -> bytes | None:
    """An RGB profile with three primaries and one curve; None if the primaries span no space."""
    try:
        matrix = _to_d50(chromaticities)
    except (np.linalg.LinAlgError, ZeroDivisionError):
        return None
    if not np.isfinite(matrix).all() or np.abs(matrix).max() > 10:
        return None
    parameters = (curve.g, curve.a, curve.b, curve.c, curve.d)
    curve_tag = struct.pack(">4sIHH5i", b"para", 0, 3, 0, *map(_fixed, parameters))
    tags = {b"wtpt": _xyz(_D50), b"rTRC": curve_tag, b"gTRC": curve_tag, b"bTRC": curve_tag}
    for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), matrix.T, strict=True):
        tags[name] = _xyz(column)
    return _assemble(tags)


def _to_d50(chromaticities: Chromaticities) -> np.ndarray:
    """Matrix from linear RGB to XYZ under D50, shape (3, 3)."""
    white, *primaries = (
        np.array([x / y, 1, (1 - x - y) / y])
        for x, y in zip(chromaticities[::2], chromaticities[1::2], strict=True)
    )
    columns = np.stack(primaries, axis=1)
    matrix = columns * np.linalg.solve(columns, white)
    scale = (_BRADFORD @ _D50) / (_BRADFORD @ white)
    adapted: np.ndarray = np.linalg.inv(_BRADFORD) @ np.diag(scale) @ _BRADFORD @ matrix
    return adapted


def _assemble(tags: dict[bytes, bytes]) -> bytes:
    """A display profile, version 4, of tags."""
    position = 128 + 4 + 12 * len(tags)
    table, data = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += struct.pack(">4sII", name, position + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    header = struct.pack(">I4xI4s4s4s12x4s28x", position + len(data), 0x04300000, b"mntr",
                         b"RGB ", b"XYZ ", b"acsp")  # fmt: skip
    illuminant = struct.pack(">3i", *map(_fixed, _D50))
    return (header + illuminant).ljust(128, b"\0") + table + data


def _xyz(values: np.ndarray) -> bytes:
    return struct.pack(">4sI3i", b"XYZ ", 0, *map(_fixed, values))


def _fixed(value: float) -> int:
    """An s15Fixed16Number."""
    return round(value * 65536)
