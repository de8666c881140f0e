"""Every colour mode becomes RGB, with values that are known without decoding."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from service.errors import UnsupportedMediaType
from service.imaging.decode import decode
from tests.helpers.pictures import (
    PNG_GREY,
    PNG_GREY_ALPHA,
    PNG_PALETTE,
    PNG_RGB,
    PNG_RGB_ALPHA,
    Array,
    chunk,
    encode,
    noise,
    raw_png,
    smooth_photo,
    words,
)
from tests.imaging.decoded import LOSSLESS, MAX_PIXELS, grey_rgb, pixels


def on_white(color: Array, alpha: Array) -> NDArray[np.float64]:
    share = alpha.astype(np.float64)[..., None] / 255
    blended: NDArray[np.float64] = color * share + 255 * (1 - share)
    return blended


@pytest.mark.parametrize("file_format", LOSSLESS)
def test_lossless_rgb_keeps_every_pixel(file_format: str) -> None:
    expected = noise(7, 11, 3)

    content = encode(Image.fromarray(expected), file_format, **LOSSLESS[file_format])

    assert np.array_equal(pixels(content), expected)


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "TIFF", "GIF"])
def test_grey_becomes_rgb(file_format: str) -> None:
    grey = noise(7, 11)

    assert np.array_equal(pixels(encode(Image.fromarray(grey), file_format)), grey_rgb(grey))


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "TIFF", "GIF"])
def test_black_and_white_becomes_rgb(file_format: str) -> None:
    grey = np.where(noise(7, 11) > 127, 255, 0).astype(np.uint8)
    content = encode(Image.fromarray(grey).convert("1"), file_format)

    assert np.array_equal(pixels(content), grey_rgb(grey))


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "TIFF", "GIF"])
def test_a_palette_is_looked_up(file_format: str) -> None:
    palette, indices = noise(256, 3, seed=1), noise(7, 11)
    picture = Image.fromarray(indices)
    picture.putpalette(palette.tobytes())

    assert np.array_equal(pixels(encode(picture, file_format)), palette[indices])


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("color", [PNG_GREY, PNG_PALETTE])
def test_pngs_with_few_bits(depth: int, color: int) -> None:
    values = np.arange(8) % 2**depth
    bits = "".join(f"{value:0{depth}b}" for value in values)
    row = int(bits, 2).to_bytes(depth, "big")  # eight pixels are `depth` bytes
    palette = noise(2**depth, 3)

    content = raw_png((8, 1), depth, color, [row], chunk(b"PLTE", palette.tobytes()))

    as_grey = grey_rgb(values * 255 // (2**depth - 1))
    expected = palette[values] if color == PNG_PALETTE else as_grey
    assert np.array_equal(pixels(content)[0], expected)


@pytest.mark.parametrize("key", [0, 1])
def test_one_alpha_for_each_colour_of_a_palette(key: int) -> None:
    palette, alpha = noise(4, 3), np.array([0, 85, 170, 255], np.uint8)[:: 1 if key else -1]
    extra = [chunk(b"PLTE", palette.tobytes()), chunk(b"tRNS", alpha.tobytes())]

    found = pixels(raw_png((4, 1), 8, PNG_PALETTE, [bytes([0, 1, 2, 3])], *extra))

    assert np.abs(found[0] - on_white(palette, alpha)).max() <= 1


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "WEBP"])
def test_alpha_is_composited_on_white(file_format: str) -> None:
    rgba = noise(9, 13, 4)
    options = {"lossless": True, "exact": True} if file_format == "WEBP" else {}

    found = pixels(encode(Image.fromarray(rgba), file_format, **options))

    assert np.abs(found - on_white(rgba[..., :3], rgba[..., 3])).max() <= 1


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_grey_with_alpha(file_format: str) -> None:
    grey, alpha = noise(9, 13), noise(9, 13, seed=1)
    picture = Image.merge("LA", [Image.fromarray(grey), Image.fromarray(alpha)])

    found = pixels(encode(picture, file_format))

    assert np.abs(found - on_white(grey_rgb(grey), alpha)).max() <= 1


def test_what_is_transparent_has_no_colour_of_its_own() -> None:
    rgba = np.zeros((4, 4, 4), np.uint8)
    rgba[..., 0] = 255  # red, but with alpha 0

    assert (pixels(encode(Image.fromarray(rgba), "PNG")) == 255).all()


# a colour that a PNG declares transparent: (depth, colour type, the colour, a row, expected)
TRANSPARENT_COLORS = {
    "grey 1 bit": (1, PNG_GREY, [1], b"\x40", [0, 255]),
    "grey 2 bits": (2, PNG_GREY, [1], b"\x60", [255, 170]),
    "grey 4 bits": (4, PNG_GREY, [1], b"\x12", [255, 34]),
    "grey 8 bits": (8, PNG_GREY, [0x10], b"\x10\x80", [255, 128]),
    "grey 16 bits": (16, PNG_GREY, [0x1000], words([0x1000, 0x8000]), [255, 128]),
    "grey 16 bits, near": (16, PNG_GREY, [0x1001], words([0x1000, 0x1001]), [16, 255]),
    "rgb 8 bits": (8, PNG_RGB, [16] * 3, b"\x10" * 3 + b"\x80" * 3, [255, 128]),
    "rgb 16 bits": (16, PNG_RGB, [0x1000] * 3, words([0x1000] * 3 + [0x8000] * 3), [255, 128]),
}


@pytest.mark.parametrize("case", TRANSPARENT_COLORS)
def test_a_transparent_colour_is_white(case: str) -> None:
    depth, color, key, row, expected = TRANSPARENT_COLORS[case]

    found = pixels(raw_png((2, 1), depth, color, [row], chunk(b"tRNS", words(key))))

    assert np.array_equal(found[0], grey_rgb(expected))


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_not_clipped(file_format: str) -> None:
    grey = np.random.default_rng(0).integers(0, 2**16, (7, 11), dtype=np.uint16)
    grey[0, :4] = [0, 255, 256, 65535]

    content = encode(Image.fromarray(grey), file_format)

    assert np.array_equal(pixels(content), grey_rgb(grey // 256))


def test_big_endian_16_bit_tiff() -> None:
    grey = np.random.default_rng(0).integers(0, 2**16, (7, 11), dtype=np.uint16)
    picture = Image.frombytes("I;16B", (11, 7), grey.astype(">u2").tobytes())

    content = encode(picture, "TIFF")

    assert content.startswith(b"MM")
    assert np.array_equal(pixels(content), grey_rgb(grey // 256))


def test_16_bit_png_in_colour_and_with_alpha() -> None:
    color = raw_png((2, 1), 16, PNG_RGB, [words([0x1234, 0xABCD, 0xFFFF, 0, 0x8000, 0xFF])])
    rgba = raw_png((2, 1), 16, PNG_RGB_ALPHA, [words([0] * 4 + [0xFFFF, 0, 0, 0xFFFF])])
    grey = raw_png((2, 1), 16, PNG_GREY_ALPHA, [words([0x1000, 0, 0x1000, 0xFFFF])])

    assert pixels(color).tolist() == [[[0x12, 0xAB, 0xFF], [0, 0x80, 0]]]
    assert pixels(rgba).tolist() == [[[255, 255, 255], [255, 0, 0]]]
    assert pixels(grey).tolist() == [[[255, 255, 255], [16, 16, 16]]]


def test_interlaced_png_is_read_like_any_other() -> None:
    # one pixel: the same bytes in both orders, but another decoder
    content = bytearray(raw_png((1, 1), 8, PNG_RGB, [b"\x0a\x14\x1e"]))
    header = bytes(content[16:28]) + b"\1"
    content[8:33] = chunk(b"IHDR", header)

    assert pixels(bytes(content)).tolist() == [[[10, 20, 30]]]


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_is_near_the_picture_that_was_saved(mode: str, progressive: bool) -> None:
    photo = smooth_photo(40, 56)
    saved = photo.convert(mode)

    content = encode(saved, "JPEG", quality=95, progressive=progressive)

    expected = np.asarray(photo.convert("L").convert("RGB") if mode == "L" else photo, np.int16)
    assert np.abs(pixels(content) - expected).max() <= 6


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
def test_tiff_compressions(compression: str | None, mode: str) -> None:
    expected = noise(17, 23, 3)
    # ink is what colour is not; this is how Pillow makes CMYK of RGB, with no black
    ink = np.concatenate([255 - expected, np.zeros((17, 23, 1), np.uint8)], axis=2)
    picture = Image.frombytes("CMYK", (23, 17), ink.tobytes()) if mode == "CMYK" else None

    content = encode(picture or Image.fromarray(expected), "TIFF", compression=compression)

    assert np.array_equal(pixels(content), expected)


def test_black_ink_darkens() -> None:
    half_black = Image.new("CMYK", (4, 4), (0, 0, 0, 128))

    assert np.abs(pixels(encode(half_black, "TIFF")).astype(int) - 127).max() <= 1


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "TIFF", "PNG"])
def test_of_several_frames_the_first_is_taken(file_format: str) -> None:
    colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    first, *others = (Image.new("RGB", (8, 6), color) for color in colors)
    options = {"lossless": True} if file_format == "WEBP" else {}

    content = encode(first, file_format, save_all=True, append_images=others, **options)

    assert np.array_equal(pixels(content), np.asarray(first))


def test_a_transparent_gif_has_a_white_ground() -> None:
    picture = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8))
    picture.putpalette(bytes([255, 0, 0, 0, 0, 255]))

    content = encode(picture, "GIF", transparency=0)

    white, blue = [255, 255, 255], [0, 0, 255]
    assert pixels(content).tolist() == [[white, blue], [blue, white]]


def test_a_transparent_animation() -> None:
    rgba = np.zeros((6, 8, 4), np.uint8)
    rgba[:, 4:] = [0, 0, 255, 255]
    second = Image.new("RGBA", (8, 6), (0, 255, 0, 255))

    content = encode(Image.fromarray(rgba), "GIF", save_all=True, append_images=[second])

    found = pixels(content)
    assert (found[:, :4] == 255).all()
    assert (found[:, 4:] == [0, 0, 255]).all()


def test_lossy_webp_with_alpha() -> None:
    photo = smooth_photo(48, 64).convert("RGBA")
    photo.paste((0, 0, 0, 0), (0, 0, 16, 48))

    found = pixels(encode(photo, "WEBP", quality=95))

    assert (found[:, :16] == 255).all()
    inside = (slice(None), slice(20, None))
    assert np.abs(found[inside] - np.asarray(photo.convert("RGB"), np.int16)[inside]).mean() < 3


def test_a_phones_two_pictures_in_one_jpeg() -> None:
    photo, depth_map = smooth_photo(40, 56), Image.new("L", (20, 28))

    content = encode(photo, "MPO", save_all=True, append_images=[depth_map], quality=95)

    assert np.abs(pixels(content) - np.asarray(photo, np.int16)).max() <= 6


def test_32_bits_per_channel_are_refused_with_a_way_out() -> None:
    for mode in ("I", "F"):
        with pytest.raises(UnsupportedMediaType, match=r"32.bit.*convert the image"):
            decode(encode(Image.new(mode, (4, 4)), "TIFF"), MAX_PIXELS)
