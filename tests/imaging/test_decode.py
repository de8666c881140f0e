from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from service.errors import NotAnImage, RequestError, TooLarge, UnsupportedMediaType
from service.imaging.decode import FORMATS, EncodedImage, decode
from service.imaging.fit import Fit, fit_image
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
    with_orientation,
    words,
)

LIMIT = 1_000_000
LOSSLESS: dict[str, dict[str, Any]] = {"PNG": {}, "BMP": {}, "TIFF": {}, "WEBP": {"lossless": True}}


def pixels(content: bytes, max_pixels: int = LIMIT) -> Array:
    picture = decode(content, max_pixels)
    assert picture.mode == "RGB"
    return np.asarray(picture)


def grey_rgb(grey: Any) -> Array:
    return np.repeat(np.asarray(grey, np.uint8)[..., None], 3, axis=-1)


def on_white(color: Array, alpha: Array) -> NDArray[np.float64]:
    share = alpha.astype(np.float64)[..., None] / 255
    blended: NDArray[np.float64] = color * share + 255 * (1 - share)
    return blended


# --- every mode, against values that are known without decoding


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
        with pytest.raises(UnsupportedMediaType, match="convert it to 8 or 16 bits"):
            decode(encode(Image.new(mode, (4, 4)), "TIFF"), LIMIT)


# --- orientation

# how the stored pixels become upright, as EXIF defines the values
UPRIGHT: dict[int, Callable[[Array], Array]] = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),  # clockwise
    7: lambda stored: stored[::-1, ::-1].transpose(1, 0, 2),
    8: lambda stored: np.rot90(stored, 1),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "WEBP"])
def test_orientation_is_applied_once(file_format: str, orientation: int) -> None:
    stored = noise(6, 10, 3)
    options = LOSSLESS[file_format]

    content = encode(
        Image.fromarray(stored), file_format, exif=with_orientation(orientation), **options
    )

    assert np.array_equal(pixels(content), UPRIGHT[orientation](stored))


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_orientation_of_a_jpeg(orientation: int) -> None:
    corners = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]], np.uint8)
    stored = corners.repeat(16, axis=0).repeat(24, axis=1)

    content = encode(Image.fromarray(stored), "JPEG", exif=with_orientation(orientation))

    found = pixels(content)
    expected = UPRIGHT[orientation](stored)
    assert found.shape == expected.shape
    assert (
        np.abs(
            found[[4, 4, -4, -4], [4, -4, 4, -4]].astype(int)
            - expected[[4, 4, -4, -4], [4, -4, 4, -4]]
        ).max()
        < 40
    )


def test_orientation_of_other_modes() -> None:
    grey = np.random.default_rng(0).integers(0, 2**16, (6, 10), dtype=np.uint16)

    content = encode(Image.fromarray(grey), "PNG", exif=with_orientation(6))

    assert np.array_equal(pixels(content), np.rot90(grey_rgb(grey // 256), -1))


@pytest.mark.filterwarnings("ignore")  # Pillow warns of what it cannot read
@pytest.mark.parametrize(
    "exif",
    [
        pytest.param(b"Exif\0\0" + b"garbage!!!", id="garbage"),
        pytest.param(b"Exif\0\0II*\0\xff\xff\xff\xff junk", id="offset beyond the end"),
        pytest.param(b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", id="more entries than bytes"),
        pytest.param(b"Exif\0\0", id="empty"),
        pytest.param(with_orientation(99).tobytes(), id="no such orientation"),
    ],
)
def test_a_damaged_exif_block_is_ignored(exif: bytes) -> None:
    picture = smooth_photo(16, 24)

    found = pixels(encode(picture, "JPEG", exif=exif))

    assert np.array_equal(found, pixels(encode(picture, "JPEG")))


# --- limits


def test_the_limit_of_pixels_is_inclusive() -> None:
    content = encode(Image.new("RGB", (20, 10)), "PNG")

    assert decode(content, 200).size == (20, 10)
    with pytest.raises(TooLarge, match="20 x 10 = 200 pixels; at most 199"):
        decode(content, 199)


@pytest.mark.parametrize("file_format", FORMATS)
def test_the_limit_holds_for_each_format(file_format: str) -> None:
    with pytest.raises(TooLarge):
        decode(encode(Image.new("RGB", (20, 10)), file_format), 199)


def test_pixels_are_counted_before_they_are_decoded() -> None:
    rows = zlib.compress(bytes(1 + 3 * 4000) * 4000, 1)  # 48 MB of black
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 4000, 4000, 8, PNG_RGB, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    started_at = time.perf_counter()

    with pytest.raises(TooLarge):
        decode(bomb, LIMIT)
    refused_at = time.perf_counter()
    decode(bomb, 4000 * 4000)

    assert refused_at - started_at < 0.2 * (time.perf_counter() - refused_at)


def test_a_text_that_expands_is_not_expanded() -> None:
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(20_000_000), 1))
    content = raw_png((1, 1), 8, PNG_GREY, [b"\0"], text)

    with pytest.raises(NotAnImage):
        decode(content, LIMIT)


# --- what is refused

NOT_READ = {
    "ICO": b"\0\0\1\0\1\0" + bytes(64),
    "PPM": b"P6 1 1 255 abc",
    "PDF": b"%PDF-1.7\n",
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n",
    "SVG": b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>',
    "ICNS": b"icns\0\0\0\x10",
    "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0",
    "AVIF": b"\0\0\0\x20ftypavif\0\0\0\0",
    "PSD": b"8BPS\0\1",
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n",
    "JPEG XL": b"\xff\x0a\0\0",
}


@pytest.mark.parametrize("name", NOT_READ)
def test_other_formats_are_named(name: str) -> None:
    with pytest.raises(UnsupportedMediaType, match=f"{name} is not read; convert the image to PNG"):
        decode(NOT_READ[name], LIMIT)


@pytest.mark.parametrize("file_format", ["ICO", "PPM", "PDF", "EPS", "ICNS", "AVIF", "JPEG2000"])
def test_real_files_of_other_formats_are_refused(file_format: str) -> None:
    picture = Image.new("RGB", (16, 16))  # Pillow could decode all but PDF; it must not try
    with pytest.raises(UnsupportedMediaType):
        decode(encode(picture, file_format), LIMIT)


@pytest.mark.parametrize("file_format", ["TGA", "PCX", "SGI", "DDS", "DIB"])
def test_rare_formats_are_no_images_here(file_format: str) -> None:
    with pytest.raises(NotAnImage, match="not a PNG, JPEG, WebP, GIF, BMP or TIFF"):
        decode(encode(Image.new("RGB", (16, 16)), file_format), LIMIT)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"hello", id="text"),
        pytest.param(b"PK\x03\x04" + bytes(30), id="zip"),
        pytest.param(b"\x89PNG\r\n\x1a\n", id="a signature alone"),
        pytest.param(raw_png((0, 1), 8, PNG_RGB, [b""]), id="zero width"),
    ],
)
def test_what_is_not_an_image_says_what_to_do(content: bytes) -> None:
    with pytest.raises(NotAnImage, match="send"):
        decode(content, LIMIT)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("file_format", FORMATS)
def test_truncated_files_are_broken(file_format: str, share: float) -> None:
    content = encode(Image.fromarray(noise(40, 40, 3)), file_format)

    with pytest.raises(NotAnImage):
        decode(content[: int(len(content) * share)], LIMIT)


def test_a_png_whose_pixels_do_not_fit_their_checksum() -> None:
    content = bytearray(encode(Image.fromarray(noise(8, 8, 3)), "PNG"))
    at = content.index(b"IEND") - 8
    content[at] ^= 1  # of the checksum: the pixels themselves could still be decoded

    with pytest.raises(NotAnImage, match="damaged"):
        decode(bytes(content), LIMIT)


@pytest.mark.filterwarnings("ignore")
@given(
    st.sampled_from(FORMATS),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6),
    st.integers(0, 10_000),
)
def test_damage_gives_a_picture_or_an_error_of_ours(
    file_format: str, changes: list[tuple[int, int]], cut: int
) -> None:
    content = bytearray(encode(Image.fromarray(noise(9, 7, 3)), file_format))
    for at, value in changes:
        content[at % len(content)] = value
    try:
        picture = decode(bytes(content[: max(cut, 1)]), 10_000)
    except RequestError:
        return
    assert picture.mode == "RGB"
    assert picture.width * picture.height <= 10_000


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(RequestError):
        decode(content, LIMIT)


# --- JPEGs that are much larger than needed are decoded at a part of their size


def jpeg(width: int, height: int, **options: Any) -> bytes:
    return encode(smooth_photo(height, width), "JPEG", quality=90, **options)


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [
        ((1920, 1080), 32, (240, 135)),  # an eighth
        ((1920, 1080), 224, (960, 540)),
        ((1920, 1080), 300, (1920, 1080)),  # a half would be less than twice as many
        ((640, 300), 32, (160, 75)),
        ((64, 64), 32, (64, 64)),
        ((130, 129), 32, (65, 65)),
    ],
)
def test_a_large_jpeg_is_reduced_to_no_less_than_twice_what_is_needed(
    size: tuple[int, int], side: int, expected: tuple[int, int]
) -> None:
    decoded = EncodedImage(jpeg(*size)).decode(10_000_000, side)
    assert decoded.image.size == expected
    assert decoded.original == (size[1], size[0])


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("size", [(640, 480), (480, 640), (130, 129)])
def test_the_original_of_a_reduced_jpeg_is_upright(size: tuple[int, int], orientation: int) -> None:
    content = jpeg(*size, exif=with_orientation(orientation))
    decoded = EncodedImage(content).decode(10_000_000, 32)
    full = decode(content, 10_000_000)
    assert decoded.original == (full.height, full.width)
    assert decoded.image.width < full.width
    assert decoded.image.height < full.height


@pytest.mark.parametrize("size", [(1920, 1080), (333, 1003), (130, 129)])
@pytest.mark.parametrize("fit", ["crop", "stretch", "pad"])
def test_the_network_sees_the_same_of_a_reduced_jpeg(size: tuple[int, int], fit: Fit) -> None:
    plain = np.asarray(smooth_photo(size[1], size[0])).astype(int)
    grain = noise(size[1], size[0], 3).astype(int) // 4 - 32
    photo = Image.fromarray((plain + grain).clip(0, 255).astype(np.uint8))
    content = encode(photo, "JPEG", quality=90)
    reduced = EncodedImage(content).decode(10_000_000, 32)
    fill, target = (9, 99, 199), (32, 32)
    seen = fit_image(reduced.image, target, fit, fill, original=reduced.original)
    full = fit_image(decode(content, 10_000_000), target, fit, fill)
    assert (seen.width, seen.height, seen.box) == (full.width, full.height, full.box)
    distance = np.abs(seen.pixels.astype(int) - full.pixels.astype(int))
    assert distance.mean() < 1
    assert np.percentile(distance, 99) <= 4


@pytest.mark.parametrize("file_format", ["PNG", "WEBP"])
def test_other_formats_are_decoded_whole(file_format: str) -> None:
    content = encode(smooth_photo(300, 400), file_format)
    assert EncodedImage(content).decode(10_000_000, 32).image.size == (400, 300)


def test_a_reduced_jpeg_that_is_truncated_is_broken() -> None:
    content = jpeg(1920, 1080)
    with pytest.raises(NotAnImage, match="truncated"):
        EncodedImage(content[: len(content) // 2]).decode(10_000_000, 32)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
def test_a_picture_that_cannot_be_turned_has_its_own_size(file_format: str) -> None:
    # to turn it Pillow writes the block anew, and a negative width it cannot write
    turned, width = struct.pack("<HHIHH", 0x112, 3, 1, 6, 0), struct.pack("<HHIi", 0x100, 9, 1, -5)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + turned + width + bytes(4)
    content = encode(smooth_photo(50, 100), file_format, exif=exif)
    decoded = EncodedImage(content).decode(10_000)
    assert decoded.original == (decoded.image.height, decoded.image.width) == (50, 100)
