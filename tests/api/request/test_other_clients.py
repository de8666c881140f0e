"""What other people's clients send: forms that are cut off or odd, base64 of every kind."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

from tests.api.sending import multipart, part, post_json, problem_of

HEADERS = {"Content-Type": "multipart/form-data; boundary=edge"}


def cut_form(photo: bytes, cut: str) -> bytes:
    whole: bytes = multipart([part("image", photo, "cat.jpg"), part("target", b"cat")])["content"]
    end = len(whole)
    at = {
        "in the value": whole.index(b"cat\r\n--edge--") + 2,
        "after the value": end - len(b"\r\n--edge--\r\n"),
        "in the head": whole.rindex(b'"target"') + 3,
        "in the boundary": end - len(b"ge--\r\n"),
        "without the last hyphens": end - len(b"--\r\n"),
        "in the image": 300,
        "image last": whole.rindex(b"\r\n--edge\r\n"),
    }[cut]
    return whole[:at] + (b"\r\n" if cut == "without the last hyphens" else b"")


@pytest.mark.parametrize(
    "cut",
    [
        *("in the value", "after the value", "in the head", "in the boundary"),
        *("without the last hyphens", "in the image", "image last"),
    ],
)
@pytest.mark.parametrize("path", ["/predict", "/explain"])
def test_a_form_that_ends_before_its_last_boundary(
    client: httpx.Client, photo: bytes, path: str, cut: str
) -> None:
    answer = client.post(path, content=cut_form(photo, cut), headers=HEADERS)
    problem_of(answer, 400, "ends before its last boundary")


@pytest.mark.parametrize("around", ["no last line break", "epilogue", "leading line break"])
def test_what_may_stand_around_a_form(client: httpx.Client, photo: bytes, around: str) -> None:
    whole: bytes = multipart([part("image", photo, "cat.jpg")])["content"]
    content = {
        "no last line break": whole[:-2],
        "epilogue": whole + b"The end.\r\n",
        "leading line break": b"\r\n" + whole,
    }[around]
    assert client.post("/predict", content=content, headers=HEADERS).status_code == 200


def test_a_form_without_a_boundary(client: httpx.Client, photo: bytes) -> None:
    content = multipart([part("image", photo, "cat.jpg")])["content"]
    for content_type in ("multipart/form-data", "multipart/form-data; charset=utf-8"):
        answer = client.post("/predict", content=content, headers={"Content-Type": content_type})
        problem_of(answer, 400, "without a boundary", "do not set the header by hand")
    answer = client.post(
        "/predict", content=content, headers={"Content-Type": "multipart/form-data; boundary=b"}
    )
    problem_of(answer, 400, "does not begin with the boundary", "do not set the header by hand")


def test_an_empty_form(client: httpx.Client) -> None:
    problem_of(client.post("/predict", content=b"", headers=HEADERS), 400, "is empty")


@pytest.mark.parametrize(
    "head",
    [
        "Content-Disposition: form-data; name=\"image\"; filename*=UTF-8''na%C3%AFve%20cat.jpg",
        "Content-Disposition: form-data; name=image; filename=cat.jpg",
        "content-disposition: form-data; filename=cat.jpg; name=image\r\ncontent-type: image/jpeg",
        "Content-Disposition: form-data; name=image",  # .NET's ByteArrayContent without a name
        'Content-Type: image/jpeg\r\nContent-Disposition: form-data; name="image"',
    ],
)
def test_a_file_with_an_unusual_head(client: httpx.Client, photo: bytes, head: str) -> None:
    request = multipart([head.encode() + b"\r\n\r\n" + photo])
    assert client.post("/predict", **request).status_code == 200


@pytest.mark.parametrize("boundary", ['"edge"', "edge; charset=utf-8", '"ed\'()+_,-./:=?ge"'])
def test_boundaries_and_parameters(client: httpx.Client, photo: bytes, boundary: str) -> None:
    name = boundary.partition(";")[0].strip('"')
    request = multipart([part("image", photo, "cat.jpg")], name)
    headers = {"Content-Type": f"Multipart/Form-Data; Boundary={boundary}"}
    assert client.post("/predict", content=request["content"], headers=headers).status_code == 200


def forms_of_base64(photo: bytes) -> dict[str, str]:
    plain, url_safe = base64.b64encode(photo).decode(), base64.urlsafe_b64encode(photo).decode()
    return {
        "no padding": plain.rstrip("="),
        "base64url": url_safe,
        "base64url without padding": url_safe.rstrip("="),
        "too much padding": plain.rstrip("=") + "====",
        "data URL of base64url": f"data:image/jpeg;base64,{url_safe.rstrip('=')}",
        "escaped data URL": "data:image/jpeg;base64,"
        + plain.replace("+", "%2B").replace("/", "%2f").replace("=", "%3D"),
    }


@pytest.mark.parametrize("cut", [0, 1, 2])
def test_base64_in_each_form(client: httpx.Client, photo: bytes, cut: int) -> None:
    image = photo + bytes(cut)  # of each length modulo 3
    expected = client.post("/predict", json={"image": base64.b64encode(image).decode()})
    assert expected.status_code == 200
    for kind, text in forms_of_base64(image).items():
        answer = client.post("/predict", json={"image": text})
        assert answer.content == expected.content, kind


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (str(base64.b64encode(b"abc")), "Python's text of bytes; send base64.b64encode("),
        ('b"abcd"', "Python's text of bytes"),
        ("cat.jpg", "it has '.' at character 3"),
        ("abcde", "is it cut off?"),
        ("ab=cd", "it has '='"),
        ([255, 216], "not bytes as numbers"),
        ({"type": "Buffer", "data": [255]}, "not bytes as numbers"),
    ],
)
def test_an_image_that_is_not_base64(client: httpx.Client, image: Any, words: str) -> None:
    problem_of(client.post("/predict", json={"image": image}), 400, words)


def test_json_with_a_byte_order_mark(client: httpx.Client, photo: bytes) -> None:
    text = json.dumps({"image": base64.b64encode(photo).decode()})
    assert post_json(client, text.encode("utf-8-sig"), "/predict").status_code == 200


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"image": "\xff"}', "not UTF-8 at byte 11"),
        (b"\xff\xd8\xff\xe0", "a JPEG file; send it with `Content-Type: image/jpeg`"),
        (b"\x89PNG\r\n\x1a\n", "a PNG file"),
        (b"--edge\r\n", "a multipart form"),
    ],
)
def test_json_that_is_something_else(client: httpx.Client, content: bytes, words: str) -> None:
    problem_of(post_json(client, content), 400, "not valid JSON", words)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"image": ""}', "JSON; send it with `Content-Type: application/json`"),
        (b"--edge\r\nContent-Disposition: form-data", "a multipart form"),
        (b"data:image/png;base64,iVBORw0KGgo", "a data: URL"),
        (b"iVBORw0KGgoAAAAN", "base64"),
        (b"/9j/4AAQSkZJRg", "base64"),
    ],
)
def test_a_raw_image_that_is_something_else(
    client: httpx.Client, content: bytes, words: str
) -> None:
    answer = client.post("/predict", content=content, headers={"Content-Type": "image/png"})
    problem_of(answer, 400, "the body is no image file but", words)
