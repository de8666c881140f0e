"""The colour profile of an image file, as browsers find it in each format."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from PIL import Image

from service.errors import UnsupportedMediaType
from service.imaging.icc import (
    BT1886_CURVE,
    HDR_TRANSFERS,
    SRGB,
    SRGB_CURVE,
    Curve,
    matrix_profile,
    profile_of_code_points,
)
from service.imaging.png_chunks import PngChunks

_NCLX = b"colrnclx"  # the colour box of an AVIF with code points
_GAMMA_SCALE = 100_000
_SRGB_GAMMA = 0.45455
_GAMMA_TOLERANCE = 0.01  # about a level of 255
_GAMMA_RANGE = (0.01, 100)  # others are absurd
_BMP_V5_HEADER_BYTES = 124


def color_profile(image: Image.Image, content: bytes) -> bytes | None:
    """The ICC profile of an image in any format but PNG; None for sRGB.

    Raises
    ------
    UnsupportedMediaType
        The image has a high dynamic range.
    """
    profile = image.info.get("icc_profile")
    if isinstance(profile, bytes) and profile:
        return profile
    if image.format == "AVIF":
        return _avif_profile(content)
    return _bmp_profile(content) if image.format == "BMP" else None


def png_profile(chunks: PngChunks) -> bytes | None:
    """The ICC profile of a PNG; None for sRGB.

    Code points (cICP) come before an ICC profile, then sRGB, then gAMA with cHRM.

    Raises
    ------
    UnsupportedMediaType
        The image has a high dynamic range.
    """
    points = chunks.ancillary.get(b"cICP", b"")
    if len(points) >= 2:
        return _of_code_points(points[0], points[1], BT1886_CURVE)
    profile = chunks.icc_profile
    if profile is not None or b"sRGB" in chunks.ancillary:
        return profile
    return _gamma_profile(chunks.ancillary)


def _of_code_points(primaries: int, transfer: int, video_curve: Curve) -> bytes | None:
    if transfer in HDR_TRANSFERS:
        raise UnsupportedMediaType(
            f"high dynamic range ({HDR_TRANSFERS[transfer]}) is not read; convert the image to "
            "standard dynamic range"
        )
    return profile_of_code_points(primaries, transfer, video_curve)


def _avif_profile(content: bytes) -> bytes | None:
    """The profile for the code points of an AVIF."""
    at = content.find(_NCLX) + len(_NCLX)
    if at < len(_NCLX) or len(content) < at + 4:
        return None
    primaries, transfer = struct.unpack_from(">HH", content, at)
    return _of_code_points(primaries, transfer, SRGB_CURVE)


def _gamma_profile(ancillary: Mapping[bytes, bytes]) -> bytes | None:
    """The profile that gAMA and cHRM describe; browsers ignore cHRM alone."""
    try:
        (value,) = struct.unpack_from(">I", ancillary[b"gAMA"])
        numbers = struct.unpack_from(">8I", ancillary[b"cHRM"]) if b"cHRM" in ancillary else None
    except (KeyError, struct.error):
        return None
    gamma = value / _GAMMA_SCALE
    if not _GAMMA_RANGE[0] <= gamma <= _GAMMA_RANGE[1]:
        return None
    if numbers is None:
        # alone it says how light the picture is, to a display of gamma 2.2
        is_srgb = abs(gamma / _SRGB_GAMMA - 1) < _GAMMA_TOLERANCE
        return None if is_srgb else matrix_profile(SRGB, Curve(1 / gamma))
    white_x, white_y, *rest = (number / _GAMMA_SCALE for number in numbers)
    red_x, red_y, green_x, green_y, blue_x, blue_y = rest
    return matrix_profile(
        (white_x, white_y, red_x, red_y, green_x, green_y, blue_x, blue_y), Curve(1 / gamma)
    )


def _bmp_profile(content: bytes) -> bytes | None:
    """The profile that is embedded in a BMP of version 5."""
    header = content[14 : 14 + _BMP_V5_HEADER_BYTES]
    if len(header) < _BMP_V5_HEADER_BYTES or header[0] < _BMP_V5_HEADER_BYTES:
        return None
    if header[56:60] != b"DEBM":  # "MBED" as a little-endian number
        return None
    start, n_bytes = struct.unpack_from("<II", header, 112)
    return content[14 + start : 14 + start + n_bytes]
