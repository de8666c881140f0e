"""Requests with a `Content-Encoding` are decoded, within the limits."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from service.api.request.content_coding import PIECE_BYTES, _Decoder
from tests.api.sending import multipart, part, problem_of

Encode = Callable[[bytes], bytes]


def raw_deflate(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


def two_members(content: bytes) -> bytes:
    return gzip.compress(content[:100]) + gzip.compress(content[100:]) + bytes(20)


def identity(content: bytes) -> bytes:
    return content


CODINGS: dict[str, tuple[str, Encode]] = {
    "gzip": ("gzip", gzip.compress),
    "upper case": ("GZip", gzip.compress),
    "x-gzip": ("x-gzip", gzip.compress),
    "members": ("gzip", two_members),
    "deflate of zlib": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
    "identity": ("identity", identity),
    "several": ("identity, deflate,gzip", lambda content: gzip.compress(zlib.compress(content))),
}


def body_of(form: str, photo: bytes) -> tuple[bytes, str]:
    if form == "json":
        return json.dumps({"image": base64.b64encode(photo).decode()}).encode(), "application/json"
    if form == "raw":
        return photo, "image/jpeg"
    request = multipart([part("image", photo, "cat.jpg")])
    return request["content"], request["headers"]["Content-Type"]


def post(client: httpx.Client, content: Any, content_type: str, *codings: str) -> httpx.Response:
    headers = [("Content-Type", content_type), *(("Content-Encoding", one) for one in codings)]
    return client.post("/predict", content=content, headers=headers)


@pytest.mark.parametrize("form", ["json", "raw", "multipart"])
@pytest.mark.parametrize("kind", CODINGS)
def test_a_coded_body_is_read_as_the_plain_one(
    client: httpx.Client, photo: bytes, kind: str, form: str
) -> None:
    coding, encode = CODINGS[kind]
    content, content_type = body_of(form, photo)
    expected = post(client, content, content_type).raise_for_status()
    coded = encode(content)

    assert post(client, coded, content_type, coding).content == expected.content
    bytewise = (coded[at : at + 1] for at in range(len(coded)))
    assert post(client, bytewise, content_type, coding).content == expected.content


def test_codings_in_two_headers(client: httpx.Client, photo: bytes) -> None:
    coded = gzip.compress(zlib.compress(photo))
    assert post(client, coded, "image/jpeg", "deflate", "gzip").status_code == 200


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, br", "nonsense"])
def test_other_codings_are_named(client: httpx.Client, photo: bytes, coding: str) -> None:
    answer = post(client, photo, "image/jpeg", coding)
    problem_of(answer, 415, coding.rpartition(" ")[2], "gzip, deflate, identity")
    assert answer.headers["accept-encoding"] == "gzip, deflate, identity"


def test_too_many_codings(client: httpx.Client, photo: bytes) -> None:
    problem_of(post(client, photo, "image/jpeg", "gzip, gzip, gzip, gzip"), 415, "so many")


@pytest.mark.parametrize("form", ["json", "raw", "multipart"])
@pytest.mark.parametrize("kind", ["gzip", "deflate of zlib", "raw deflate", "several"])
def test_a_body_that_is_cut_off(client: httpx.Client, photo: bytes, kind: str, form: str) -> None:
    coding, encode = CODINGS[kind]
    content, content_type = body_of(form, photo)
    problem_of(post(client, encode(content)[:-9], content_type, coding), 400, "ends")


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_body_that_is_not_of_its_coding(client: httpx.Client, photo: bytes, coding: str) -> None:
    problem_of(post(client, photo, "image/jpeg", coding), 400, f"not valid {coding}")


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_bytes_after_the_end(client: httpx.Client, photo: bytes, coding: str) -> None:
    coded = gzip.compress(photo) if coding == "gzip" else zlib.compress(photo)
    problem_of(post(client, coded + b"more", "image/jpeg", coding), 400, f"not valid {coding}")


def test_members_are_bounded(client: httpx.Client) -> None:
    content = gzip.compress(b"") * 2000
    headers = {"Content-Encoding": "gzip", "Content-Type": "image/png"}
    response = client.post("/predict", content=content, headers=headers)
    problem_of(response, 400, "more than 1000 members")


def test_an_empty_body(client: httpx.Client) -> None:
    for content in (b"", gzip.compress(b"")):
        problem_of(post(client, content, "image/jpeg", "gzip"), 400, "the body is empty")


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("form", ["application/json", "image/png"])
def test_a_decompression_bomb_is_too_large(client: httpx.Client, form: str, layers: int) -> None:
    packer = zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(200)) + packer.flush()
    for _ in range(layers - 1):
        bomb = gzip.compress(bomb)
    answer = post(client, bomb, form, *["gzip"] * layers)
    problem_of(answer, 413, "more than 10000000 bytes")


def test_pieces_are_bounded() -> None:
    coded = gzip.compress(bytes(10 * PIECE_BYTES + 7))
    decoder = _Decoder("gzip")
    sizes = [len(piece) for piece in decoder.decode(coded)]
    assert sum(sizes) == 10 * PIECE_BYTES + 7
    assert max(sizes) == PIECE_BYTES
    assert not decoder.is_inside


@pytest.mark.parametrize("content_type", ["image/jpeg", "application/json"])
def test_gzip_without_its_header_is_named(
    client: httpx.Client, photo: bytes, content_type: str
) -> None:
    answer = post(client, gzip.compress(photo), content_type)
    problem_of(answer, 400, "gzip", "Content-Encoding: gzip")
