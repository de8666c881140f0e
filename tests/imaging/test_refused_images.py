"""Too large, unsupported, and broken images are refused, each with its own error."""

from __future__ import annotations

import struct
import time
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from service.errors import NotAnImage, RequestError, TooLarge, UnsupportedMediaType
from service.imaging.decode import decode
from service.imaging.formats import FORMATS
from tests.helpers.pictures import (
    PNG_GREY,
    PNG_RGB,
    chunk,
    encode,
    noise,
    raw_png,
)
from tests.imaging.decoded import MAX_PIXELS


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
        decode(bomb, MAX_PIXELS)
    refused_at = time.perf_counter()
    decode(bomb, 4000 * 4000)

    assert refused_at - started_at < 0.2 * (time.perf_counter() - refused_at)


def test_a_text_that_expands_is_not_expanded() -> None:
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(20_000_000), 1))
    content = raw_png((1, 1), 8, PNG_GREY, [b"\0"], text)

    tracemalloc.start()
    decode(content, MAX_PIXELS)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak_bytes < 2_000_000


# --- what is refused

NOT_READ = {
    "ICO": b"\0\0\1\0\1\0" + bytes(64),
    "PPM": b"P6 1 1 255 abc",
    "PDF": b"%PDF-1.7\n",
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n",
    "SVG": b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>',
    "ICNS": b"icns\0\0\0\x10",
    "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0",
    "PSD": b"8BPS\0\1",
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n",
    "JPEG XL": b"\xff\x0a\0\0",
}


@pytest.mark.parametrize("name", NOT_READ)
def test_other_formats_are_named(name: str) -> None:
    with pytest.raises(UnsupportedMediaType, match=f"{name} is not read; convert the image to PNG"):
        decode(NOT_READ[name], MAX_PIXELS)


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevs"])
@pytest.mark.parametrize("is_major", [True, False])
def test_heic_is_named_by_any_brand(brand: bytes, is_major: bool) -> None:
    brands = brand + bytes(4) + b"mif1" if is_major else b"mif1" + bytes(4) + b"miaf" + brand
    content = struct.pack(">I", 8 + len(brands)) + b"ftyp" + brands + bytes(64)
    with pytest.raises(UnsupportedMediaType, match="HEIC is not read; convert the image to PNG"):
        decode(content, MAX_PIXELS)


def test_an_unknown_codec_in_heif_is_named_after_its_container() -> None:
    content = struct.pack(">I", 20) + b"ftypmif1" + bytes(4) + b"miaf" + bytes(64)
    with pytest.raises(UnsupportedMediaType, match="HEIF is not read; convert the image to PNG"):
        decode(content, MAX_PIXELS)


@pytest.mark.parametrize("file_format", ["ICO", "PPM", "PDF", "EPS", "ICNS", "JPEG2000"])
def test_real_files_of_other_formats_are_refused(file_format: str) -> None:
    picture = Image.new("RGB", (16, 16))  # Pillow could decode all but PDF; it must not try
    with pytest.raises(UnsupportedMediaType):
        decode(encode(picture, file_format), MAX_PIXELS)


@pytest.mark.parametrize("file_format", ["TGA", "PCX", "SGI", "DDS", "DIB"])
def test_rare_formats_are_no_images_here(file_format: str) -> None:
    with pytest.raises(NotAnImage, match="not a PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF"):
        decode(encode(Image.new("RGB", (16, 16)), file_format), MAX_PIXELS)


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
        decode(content, MAX_PIXELS)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("file_format", FORMATS)
def test_truncated_files_are_broken(file_format: str, share: float) -> None:
    content = encode(Image.fromarray(noise(40, 40, 3)), file_format)

    with pytest.raises(NotAnImage):
        decode(content[: int(len(content) * share)], MAX_PIXELS)


def test_a_png_whose_pixels_do_not_fit_their_checksum() -> None:
    content = bytearray(encode(Image.fromarray(noise(8, 8, 3)), "PNG"))
    at = content.index(b"IEND") - 8
    content[at] ^= 1  # of the checksum: the pixels themselves could still be decoded

    with pytest.raises(NotAnImage, match="damaged"):
        decode(bytes(content), MAX_PIXELS)


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
        decode(content, MAX_PIXELS)
