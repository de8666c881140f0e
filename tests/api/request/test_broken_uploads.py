"""Broken uploads: each gets its own problem, and none keeps the server from the next request."""

from __future__ import annotations

import base64
import io
import socket
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.api.sending import multipart, part, problem_of, send
from tests.helpers.pictures import PNG_RGB, chunk, encode, noise, raw_png
from tests.helpers.servers import RunningServer, running_server

RAW = {"Content-Type": "application/octet-stream"}
Request = dict[str, Any]


def picture(file_format: str) -> bytes:
    return encode(Image.fromarray(noise(48, 48, 3)), file_format)


def body(content: bytes) -> Request:
    return {"content": content, "headers": RAW}


def truncated(file_format: str, share: float) -> Request:
    content = picture(file_format)
    return body(content[: int(len(content) * share)])


def file_part(content: bytes, name: str = "image") -> bytes:
    return part(name, content, "cat.jpg")


def a_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("cat.jpg", picture("JPEG"))
    return buffer.getvalue()


def damaged_jpeg() -> bytes:
    content = bytearray(picture("JPEG"))
    at = content.index(b"\xff\xda")  # where the pixels begin
    content[2:at] = bytes(at - 2)
    return bytes(content)


def png_with(change: Callable[[bytearray], None]) -> bytes:
    content = bytearray(picture("PNG"))
    change(content)
    return bytes(content)


def flip_pixels(content: bytearray) -> None:
    content[content.index(b"IDAT") + 40] ^= 0xFF


def flip_checksum(content: bytearray) -> None:
    content[29] ^= 1  # of the header


def png_bomb() -> bytes:
    """6400 x 6400 pixels that are really there: a hundred kilobytes for 123 megabytes."""
    packer = zlib.compressobj(1)
    row = bytes(1 + 3 * 6400)
    pixels = b"".join(packer.compress(row) for _ in range(6400)) + packer.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 6400, 6400, 8, PNG_RGB, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def gif_without_frames() -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", 8, 8, 0, 0, 0) + b";"


def tiff_that_points_at_itself() -> bytes:
    no_pixels = struct.pack("<HHHII", 1, 256, 3, 1, 8)
    return b"II*\0" + struct.pack("<I", 8) + no_pixels + struct.pack("<I", 8)


def bmp(width: int, height: int, bits: int = 24) -> bytes:
    information = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + information


def unclosed_form() -> Request:
    request = multipart([file_part(picture("JPEG"))])
    return request | {"content": request["content"][:-40]}


def form_in_chunks() -> Request:
    head, tail = multipart([file_part(b"\0")])["content"].split(b"\0")
    chunks = (head, *[bytes(1_000_000)] * 11, tail)
    return multipart([]) | {"content": iter(chunks)}


def zeros_in_chunks() -> Request:
    return multipart([]) | {"content": iter([bytes(1_000_000)] * 11)}


def typed(content_type: str | None) -> Request:
    headers = {} if content_type is None else {"Content-Type": content_type}
    return {"content": picture("JPEG"), "headers": headers}


# name -> (the request, the status, words of the detail)
BROKEN: dict[str, tuple[Callable[[], Request], int, tuple[str, ...]]] = {
    # nothing, or nothing whole
    "empty body": (lambda: body(b""), 400, ("empty", "send")),
    "empty file": (lambda: multipart([file_part(b"")]), 400, ("empty", "send")),
    "one byte": (lambda: body(b"\xff"), 400, ("send",)),
    "signature of a JPEG": (lambda: body(b"\xff\xd8\xff"), 400, ("send",)),
    "signature of a PNG": (lambda: body(b"\x89PNG\r\n\x1a\n"), 400, ("send",)),
    **{
        f"{file_format} cut at {share:.0%}": (
            partial(truncated, file_format, share),
            400,
            ("send",),
        )
        for file_format in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
        for share in (0.02, 0.4, 0.85)
    },
    # no image
    "text": (lambda: body(b"a cat"), 400, ("not a PNG, JPEG",)),
    "HTML": (lambda: body(b"<!DOCTYPE html><html></html>"), 400, ("not a PNG, JPEG",)),
    "JSON": (lambda: body(b'{"image": ""}'), 400, ("JSON; send it with",)),
    "zip": (lambda: body(a_zip()), 400, ("not a PNG, JPEG",)),
    "PDF": (lambda: body(b"%PDF-1.7\n1 0 obj\n"), 415, ("PDF", "convert")),
    "SVG": (lambda: body(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), 415, ("SVG", "convert")),
    "ICO": (lambda: body(picture("ICO")), 415, ("ICO", "convert")),
    "HEIC": (lambda: body(b"\0\0\0\x18ftypheic" + bytes(64)), 415, ("HEIC", "convert")),
    "HTML in front of a JPEG": (
        lambda: body(b"<html>" + picture("JPEG")),
        400,
        ("not a PNG, JPEG",),
    ),
    # damaged
    "PNG with other pixels": (lambda: body(png_with(flip_pixels)), 400, ("damaged",)),
    "PNG with another header": (lambda: body(png_with(flip_checksum)), 400, ("send",)),
    "JPEG without tables": (lambda: body(damaged_jpeg()), 400, ("send",)),
    "GIF without frames": (lambda: body(gif_without_frames()), 400, ("send",)),
    "cyclic TIFF": (lambda: body(tiff_that_points_at_itself()), 400, ("send",)),
    "BMP without pixels": (lambda: body(bmp(8, 8)), 400, ("send",)),
    "BMP of 77 bits": (lambda: body(bmp(8, 8, 77)), 400, ("send",)),
    "BMP of negative width": (lambda: body(bmp(-8, 8)), 413, ("send",)),
    "32-bit TIFF": (lambda: body(encode(Image.new("F", (4, 4)), "TIFF")), 415, ("convert",)),
    # too large
    "huge PNG": (lambda: body(raw_png((60_000, 60_000), 8, PNG_RGB, [])), 413, ("40000000",)),
    "huge BMP": (lambda: body(bmp(30_000, 30_000)), 413, ("40000000",)),
    "PNG without width": (lambda: body(raw_png((0, 8), 8, PNG_RGB, [])), 400, ("send",)),
    "BMP without height": (lambda: body(bmp(8, 0)), 400, ("send",)),
    "decompression bomb": (lambda: body(png_bomb()), 413, ("6400 x 6400", "smaller")),
    "11 MB": (lambda: body(bytes(11_000_000)), 413, ("10000000 bytes", "smaller")),
    "11 MB in chunks": (
        lambda: body(b"") | {"content": (bytes(1_000_000) for _ in range(11))},
        413,
        ("10000000 bytes",),
    ),
    "11 MB as a form": (
        lambda: multipart([file_part(bytes(11_000_000))]),
        413,
        ("10000000 bytes",),
    ),
    "11 MB as a form in chunks": (form_in_chunks, 413, ("10000000 bytes",)),
    "11 MB of zeros as a form": (zeros_in_chunks, 400, ("multipart",)),
    "11 MB as JSON": (
        lambda: {"json": {"image": base64.b64encode(bytes(8_250_000)).decode()}},
        413,
        ("10000000 bytes",),
    ),
    # the wrong wrapping
    "no content type": (lambda: typed(None), 415, ("multipart/form-data", "image/*")),
    "text/plain": (lambda: typed("text/plain"), 415, ("text/plain", "image/*")),
    "urlencoded form": (lambda: {"data": {"image": "cat.jpg"}}, 415, ("multipart/form-data",)),
    "XML": (lambda: typed("application/xml"), 415, ("application/xml",)),
    "nonsense type": (lambda: typed(";;;"), 415, ("multipart/form-data",)),
    "two fields": (
        lambda: multipart([file_part(b"1"), file_part(b"2", "images")]),
        400,
        ("`images`",),
    ),
    "many images": (lambda: multipart([file_part(b"1")] * 33), 413, ("32 images",)),
    "many files": (lambda: multipart([file_part(b"1", "file")] * 40), 400, ("files",)),
    "many fields": (lambda: multipart([part(f"a{n}", b"") for n in range(99)]), 400, ("fields",)),
    "no file": (lambda: multipart([]), 400, ("image",)),
    "file in another field": (lambda: multipart([file_part(b"1", "file")]), 400, ("`file`",)),
    "text in the field": (lambda: multipart([part("image", b"cat.jpg")]), 400, ("is text",)),
    "form without boundary": (lambda: typed("multipart/form-data"), 400, ("boundary",)),
    "form with another boundary": (
        lambda: typed("multipart/form-data; boundary=edge"),
        400,
        ("multipart",),
    ),
    "form that does not end": (unclosed_form, 400, ("before its last boundary",)),
    "part without a name": (
        lambda: multipart([b"Content-Disposition: form-data\r\n\r\nabc"]),
        400,
        ("name",),
    ),
    "image as a form's only text": (
        lambda: {
            "content": b"--edge--\r\n",
            "headers": {"Content-Type": "multipart/form-data; boundary=edge"},
        },
        400,
        ("image",),
    ),
}


def test_there_are_at_least_thirty_kinds() -> None:
    assert len(BROKEN) >= 30


# both routes share the pipeline: each gets every other upload
@pytest.mark.parametrize(("kind", "path"), list(zip(BROKEN, cycle(["/explain", "/predict"]))))
def test_a_broken_upload_is_a_problem_and_the_next_request_is_served(
    client: httpx.Client, photo: bytes, kind: str, path: str
) -> None:
    make, status, words = BROKEN[kind]

    problem_of(client.post(path, **make()), status, *words)

    assert send(client, photo, path="/predict").status_code == 200


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"])
def test_bytes_after_an_image_are_ignored(client: httpx.Client, file_format: str) -> None:
    content = picture(file_format)
    alone = send(client, content)

    polyglot = send(client, content + a_zip())

    assert alone.status_code == 200
    assert polyglot.content == alone.content


def test_the_name_and_type_of_a_file_are_ignored(client: httpx.Client, photo: bytes) -> None:
    files = {"image": ("../../etc/passwd\x00.svg", photo, "text/html")}

    assert client.post("/predict", files=files).status_code == 200


# --- broken HTTP, which no client library would send


def exchange(server: RunningServer, sent: bytes, *, stay: bool) -> bytes:
    """Send bytes; stay for the answer, or leave at once."""
    address = httpx.URL(server.url)
    received = b""
    with socket.create_connection((address.host, address.port or 80), timeout=10) as connection:
        connection.sendall(sent)
        while stay and (some := connection.recv(65536)):
            received += some
    return received


@pytest.mark.parametrize(
    ("length", "status"),
    [("10", b"400"), ("99999999", b"413"), ("-1", b"400"), ("many", b"400"), ("1" * 40, b"400")],
)
def test_a_wrong_content_length(
    server: RunningServer, client: httpx.Client, photo: bytes, length: str, status: bytes
) -> None:
    head = f"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n"
    type_and_end = "Content-Type: image/jpeg\r\nConnection: close\r\n\r\n"

    answer = exchange(server, (head + type_and_end).encode() + photo[:10], stay=True)

    assert answer.split()[1] == status
    assert send(client, photo).status_code == 200


def test_a_client_that_leaves_in_the_middle(
    server: RunningServer, client: httpx.Client, photo: bytes
) -> None:
    for content_type in ("image/jpeg", "multipart/form-data; boundary=edge", "application/json"):
        head = f"POST /explain HTTP/1.1\r\nHost: a\r\nContent-Type: {content_type}\r\n"
        begun = (head + "Content-Length: 5000\r\n\r\n").encode() + b"--edge\r\n"
        exchange(server, begun, stay=False)

    assert send(client, photo).status_code == 200
    assert "Traceback" not in server.read_output()


# --- limits that the operator sets


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    settings = {"LRPSERVE_MAX_BODY_BYTES": "5000", "LRPSERVE_MAX_PIXELS": "1024"}
    folder: Path = tmp_path_factory.mktemp("small")
    with (
        running_server(folder, settings) as running,
        httpx.Client(base_url=running.url, timeout=60) as connected,
    ):
        yield connected


def test_the_limit_of_bytes_is_inclusive(small: httpx.Client) -> None:
    def bmp_of(size: int) -> bytes:
        return encode(Image.new("RGB", (32, 32)), "BMP").ljust(size, b"\0")

    assert send(small, bmp_of(5000), path="/predict").status_code == 200
    problem_of(send(small, bmp_of(5001), path="/predict"), 413, "more than 5000 bytes")


def test_the_limit_of_bytes_counts_chunks(small: httpx.Client) -> None:
    chunks = (bytes(1000) for _ in range(6))
    answer = small.post("/predict", content=chunks, headers={"Content-Type": "image/png"})

    problem_of(answer, 413, "more than 5000 bytes")


def test_the_limit_of_pixels(small: httpx.Client) -> None:
    grey = np.zeros((32, 33), np.uint8)

    assert send(small, encode(Image.fromarray(grey[:, 1:]), "PNG")).status_code == 200
    problem_of(send(small, encode(Image.fromarray(grey), "PNG")), 413, "at most 1024")
