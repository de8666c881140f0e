"""Embedded ICC profiles are applied, beside plain arithmetic with published matrices."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from service.imaging.icc import SRGB_CURVE, Chromaticities, Curve, matrix_profile
from tests.helpers.icc import cmyk_profile, grey_profile
from tests.helpers.pictures import Array, encode, noise, smooth_photo
from tests.imaging.decoded import LOSSLESS, grey_rgb, pixels

Floats = NDArray[np.float64]
# to XYZ under D50, adapted as Bradford does (B. Lindbloom; Display P3: Apple's profile)
SRGB_TO_XYZ = np.array(
    [
        [0.4360747, 0.3850649, 0.1430804],
        [0.2225045, 0.7168786, 0.0606169],
        [0.0139322, 0.0971045, 0.7141733],
    ]
)


@dataclass(frozen=True)
class Space:
    """A colour space: x and y of white, red, green and blue, a curve, and the published matrix."""

    chromaticities: Chromaticities
    curve: Curve
    matrix: list[list[float]]

    @property
    def profile(self) -> bytes:
        profile = matrix_profile(self.chromaticities, self.curve)
        assert profile is not None
        return profile


SPACES = {
    "Display P3": Space(
        (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
        SRGB_CURVE,
        [[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]],
    ),
    "Adobe RGB": Space(
        (0.3127, 0.329, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06),
        Curve(563 / 256),
        [
            [0.6097559, 0.2052401, 0.1492240],
            [0.3111242, 0.6256560, 0.0632197],
            [0.0194811, 0.0608902, 0.7448387],
        ],
    ),
    "ProPhoto RGB": Space(
        (0.3457, 0.3585, 0.7347, 0.2653, 0.1596, 0.8404, 0.0366, 0.0001),
        Curve(1.8),
        [[0.7976749, 0.1351917, 0.0313534], [0.2880402, 0.7118741, 0.0000857], [0, 0, 0.82521]],
    ),
}
FORMATS: dict[str, dict[str, Any]] = LOSSLESS | {"JPEG": {"quality": 95}}
del FORMATS["BMP"]  # Pillow writes no profile into it


def srgb_levels(linear: Floats) -> Floats:
    """Linear light as levels of sRGB, 0 to 255."""
    light = linear.clip(0, 1)
    levels: Floats = 255 * np.where(
        light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055
    )
    return levels


def in_srgb(levels: Array, space: Space) -> Floats:
    """RGB levels of a space as levels of sRGB."""
    share = levels / 255
    if space.curve == SRGB_CURVE:
        light = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    else:
        light = share**space.curve.g
    return srgb_levels(light @ (np.linalg.inv(SRGB_TO_XYZ) @ np.array(space.matrix)).T)


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("name", SPACES)
def test_colours_are_converted_from_the_space_of_the_profile(name: str, file_format: str) -> None:
    space, photo = SPACES[name], smooth_photo(40, 56)
    options = FORMATS[file_format]
    stored = pixels(encode(photo, file_format, **options))

    found = pixels(encode(photo, file_format, icc_profile=space.profile, **options))

    expected = in_srgb(stored, space)
    assert np.abs(stored - expected).max() > 10  # so that an ignored profile shows
    assert np.abs(found - expected).max() <= 2


def test_a_palette_is_converted() -> None:
    space, palette = SPACES["Adobe RGB"], np.asarray(smooth_photo(16, 16)).reshape(256, 3)
    indices = noise(7, 11)
    picture = Image.fromarray(indices)
    picture.putpalette(palette.tobytes())

    found = pixels(encode(picture, "PNG", icc_profile=space.profile))

    assert np.abs(found - in_srgb(palette[indices], space)).max() <= 2


def test_transparency_is_composited_after_the_conversion() -> None:
    space, photo = SPACES["Display P3"], smooth_photo(8, 8).convert("RGBA")
    photo.putalpha(128)

    found = pixels(encode(photo, "PNG", icc_profile=space.profile))

    opaque = in_srgb(np.asarray(smooth_photo(8, 8)), space)
    assert np.abs(found - (opaque * 128 + 255 * 127) / 255).max() <= 2


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
@pytest.mark.parametrize("gamma", [1.8, 2.6])
def test_grey_levels_are_converted(gamma: float, file_format: str) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)

    found = pixels(encode(Image.fromarray(levels), file_format, icc_profile=grey_profile(gamma)))

    light = (levels / 255) ** gamma
    assert np.abs(found - srgb_levels(light)[..., None]).max() <= 2


@pytest.mark.parametrize("file_format", ["TIFF", "JPEG"])
@pytest.mark.parametrize(
    ("ink", "lightness"), [((0, 0, 0, 0), 255), ((0, 0, 255, 0), 170), ((0, 0, 0, 255), 0)]
)
def test_inks_are_converted(
    ink: tuple[int, int, int, int], lightness: int, file_format: str
) -> None:
    picture = Image.new("CMYK", (16, 16), ink)

    found = pixels(encode(picture, file_format, icc_profile=cmyk_profile()))

    l_star = lightness / 255 * 100
    light = ((l_star + 16) / 116) ** 3 if l_star > 8 else l_star / 903.3
    assert np.abs(found - srgb_levels(np.array(light))).max() <= 2


def padded(profile: bytes, n_bytes: int) -> bytes:
    return struct.pack(">I", n_bytes) + profile[4:].ljust(n_bytes, b"\0")


ADOBE = SPACES["Adobe RGB"].profile
UNUSABLE = {
    "garbage": b"garbage" * 40,
    "cut": ADOBE[:200],
    "no tags": ADOBE[:128] + bytes(4),
    "of grey": grey_profile(1.0),
    "of inks": cmyk_profile(),
    "6 MB": padded(ADOBE, 6_000_000),
}


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
@pytest.mark.parametrize("name", UNUSABLE)
def test_an_unusable_profile_is_ignored(name: str, file_format: str) -> None:
    photo = smooth_photo(24, 40)

    content = encode(photo, file_format, icc_profile=UNUSABLE[name])

    assert np.array_equal(pixels(content), np.asarray(photo))


def test_a_long_profile_is_applied() -> None:
    photo = smooth_photo(24, 40)

    found = pixels(encode(photo, "PNG", icc_profile=padded(ADOBE, 1_000_000)))

    assert np.array_equal(found, pixels(encode(photo, "PNG", icc_profile=ADOBE)))


def test_a_profile_of_colours_does_not_colour_grey() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)

    found = pixels(encode(Image.fromarray(levels), "PNG", icc_profile=ADOBE))

    assert np.abs(found - in_srgb(grey_rgb(levels), SPACES["Adobe RGB"])).max() <= 2
