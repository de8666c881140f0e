from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

from service.api.request.options import ExplainOptions, PredictOptions
from tests.api.sending import (
    FORMS,
    multipart,
    part,
    post_json,
    problem_of,
    send,
    wrong_options,
)

PATHS = ("/predict", "/explain")
OPTIONS: dict[str, dict[str, Any]] = {
    "/predict": {"top_k": 3, "fit": "pad"},
    "/explain": {
        "top_k": 2,
        "fit": "stretch",
        "target": "dog",
        "contrast": 3,
        "start": "logit",
        "composite": "epsilon_plus",
        "attributor": "smooth_grad",
        "layer": "features.3",
        "n_samples": 2,
        "noise_level": 0.25,
        "seed": 7,
        "epsilon": 0.001,
        "stabilizer": 1e-5,
        "zero_bias": True,
        "output": "heatmap,overlay,relevance",
        "relevance_format": "list",
        "channels": "all",
        "cmap": "coolwarm",
        "size": 64,
        "enlarge": "nearest",
        "overlay_style": "contours",
        "color_bar": True,
        "bound": 0.25,
    },
}
CONTENT_TYPES = ["image/jpeg", "image/png", "image/x-anything", "application/octet-stream"]


def as_base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


# --- the three forms


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("with_options", [False, True])
def test_the_three_forms_give_the_same_bytes(
    client: httpx.Client, photo: bytes, path: str, with_options: bool
) -> None:
    options = OPTIONS[path] if with_options else {}

    answers = [send(client, photo, options, form=form, path=path) for form in FORMS]

    assert [answer.status_code for answer in answers] == [200] * 3
    assert answers[0].content == answers[1].content == answers[2].content


@pytest.mark.parametrize("content_type", [*CONTENT_TYPES, "IMAGE/JPEG", "image/jpeg; a=b"])
def test_the_content_type_of_a_raw_image_need_not_be_its_own(
    client: httpx.Client, photo: bytes, content_type: str
) -> None:
    answer = client.post("/predict", content=photo, headers={"Content-Type": content_type})

    assert answer.status_code == 200


def test_json_with_a_charset(client: httpx.Client, photo: bytes) -> None:
    body = json.dumps({"image": as_base64(photo)})
    headers = {"Content-Type": "application/json; charset=utf-8"}

    assert client.post("/predict", content=body, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "prefix",
    ["data:image/jpeg;base64,", "data:;base64,", "DATA:image/png;name=cat.jpg;BASE64,"],
)
def test_a_data_url_is_read_like_plain_base64(
    client: httpx.Client, photo: bytes, prefix: str
) -> None:
    plain = client.post("/predict", json={"image": as_base64(photo)})

    url = client.post("/predict", json={"image": prefix + as_base64(photo)})

    assert plain.status_code == 200
    assert url.content == plain.content


def test_base64_may_be_broken_into_lines(client: httpx.Client, photo: bytes) -> None:
    lines = base64.encodebytes(photo).decode()

    assert "\n" in lines
    assert client.post("/predict", json={"image": f"\t {lines} "}).status_code == 200


# --- options in the wrong place, twice, or not there


@pytest.mark.parametrize("form", ["multipart", "json"])
def test_options_in_the_query_beside_a_body_with_options(
    client: httpx.Client, photo: bytes, form: str
) -> None:
    problems = wrong_options(send(client, photo, path="/explain?size=64&cmap=bwr", form=form))

    assert set(problems) == {"size", "cmap"}
    assert "in the query; send all options in the body" in problems["size"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("form", FORMS)
def test_an_unknown_option(client: httpx.Client, photo: bytes, form: str, path: str) -> None:
    problems = wrong_options(send(client, photo, {"sise": 64}, form=form, path=path))

    assert list(problems) == ["sise"]
    for allowed in ("model", "top_k", "fit"):
        assert allowed in problems["sise"]
    assert ("cmap" in problems["sise"]) is (path == "/explain")


def test_an_option_of_explain_is_unknown_to_predict(client: httpx.Client, photo: bytes) -> None:
    assert list(wrong_options(send(client, photo, {"target": 3}, path="/predict"))) == ["target"]


def test_an_option_twice_in_the_query(client: httpx.Client, photo: bytes) -> None:
    problems = wrong_options(send(client, photo, path="/explain?size=64&size=64"))

    assert problems == {"size": "is given more than once"}


def test_an_option_twice_in_a_form(client: httpx.Client, photo: bytes) -> None:
    files = {"image": photo}

    problems = wrong_options(client.post("/explain", files=files, data={"size": ["64", "32"]}))

    assert problems == {"size": "is given more than once"}


def test_an_option_twice_in_json(client: httpx.Client, photo: bytes) -> None:
    body = f'{{"size": 64, "image": "{as_base64(photo)}", "size": 64, "top_k": 1, "top_k": 2}}'

    assert set(wrong_options(post_json(client, body))) == {"size", "top_k"}


def test_every_wrong_option_is_named_at_once(client: httpx.Client, photo: bytes) -> None:
    options = {"size": 1, "cmap": "jet", "sise": 1, "epsilon": "much"}

    assert set(wrong_options(send(client, photo, options))) == set(options)


# --- no image, two, or something else


@pytest.mark.parametrize(
    ("files", "data", "words"),
    [
        ([("image", b"1"), ("images", b"2")], {}, "there are `image` and `images`"),
        ([("images", b"1"), ("image", b"2")], {}, "there are `images` and `image`"),
        ({"picture": b"1"}, {}, "the file is in the field `picture`; send it in the field `image`"),
        ({"image": b"1", "other": b"2"}, {}, "a second file, in the field `other`"),
        ({"other": b"1"}, {"image": "cat.jpg"}, "`other`"),
    ],
)
def test_forms_with_files_in_other_fields(
    client: httpx.Client, files: Any, data: dict[str, str], words: str
) -> None:
    answer = client.post("/explain", files=files, data=data)

    problem_of(answer, 400, words, "send")


def test_a_form_of_options_alone(client: httpx.Client) -> None:
    answer = client.post("/explain", **multipart([part("size", b"64")]))

    problem_of(answer, 400, "there are no images", "field `image`")


def test_text_instead_of_a_file(client: httpx.Client) -> None:
    answer = client.post("/explain", **multipart([part("image", b"cat.jpg")]))

    problem_of(answer, 400, "the field `image` is text", "curl -F image=@cat.jpg")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("{}", "there is no image"),
        ('{"image": "", "image": ""}', "there are several images"),
        ("[]", "must be a JSON object"),
        ('{"image": "", "images": [""]}', "there are `image` and `images`"),
        ('{"images": []}', "must be a list of strings"),
        ('{"images": "abcd"}', "must be a list of strings"),
        ('{"images": ["abcd", 5]}', "must be a list of strings"),
        ('{"images": null}', "there is no image"),
        ('{"images": [""], "images": [""]}', "there are several images"),
        ('"image"', "must be a JSON object"),
        ("null", "must be a JSON object"),
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("{'image': 1}", "not valid JSON"),
        ('{"image": "", "size": NaN}', "NaN is not JSON"),
        ('{"image": "", "size": -Infinity}', "-Infinity is not JSON"),
        (b'{"image": "\xff"}', "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('{"image":' * 50_000, "not valid JSON"),
        ('{"image": "", "size": ' + "9" * 5000 + "}", "not valid JSON"),
        ('{"image": 5}', "`image` must be a string"),
        ('{"image": null}', "there is no image"),
        ('{"image": ["a"]}', "`image` must be a string"),
        ('{"image": ""}', "the image is empty"),
        ('{"image": "a"}', "not valid base64"),
        ('{"image": "ab$d"}', "not valid base64"),
        ('{"image": "caf\u00e9"}', "not valid base64"),
        ('{"image": "\\ud800"}', "not valid base64"),
        ('{"image": "data:image/png,abc"}', "send base64"),
        ('{"image": "data:image/png"}', "send base64"),
    ],
)
def test_json_that_holds_no_image(client: httpx.Client, body: str | bytes, words: str) -> None:
    problem_of(post_json(client, body), 400, words)


@pytest.mark.parametrize("scheme", ["http", "https", "HTTP", "ftp", "file", "gopher"])
def test_an_address_is_never_fetched(client: httpx.Client, scheme: str) -> None:
    answer = client.post("/explain", json={"image": f"{scheme}://127.0.0.1:9/cat.jpg"})

    problem_of(answer, 400, "an address", "fetches none", "send the image itself")


# --- odd values


@pytest.mark.parametrize(
    "option", ["target", "contrast", "cmap", "model", "fit", "composite", "layer", "baseline"]
)
def test_a_lone_surrogate(client: httpx.Client, photo: bytes, option: str) -> None:
    body = f'{{"image": "{as_base64(photo)}", "{option}": "\\ud800"}}'

    assert list(wrong_options(post_json(client, body))) == [option]


def test_a_lone_surrogate_as_a_name(client: httpx.Client, photo: bytes) -> None:
    assert wrong_options(post_json(client, f'{{"image": "{as_base64(photo)}", "\\ud800": 1}}'))


@pytest.mark.parametrize(
    "option", ["top_k", "size", "start", "layer", "composite", "targets", "seed", "epsilon"]
)
def test_values_of_any_shape(client: httpx.Client, photo: bytes, option: str) -> None:
    for value in ("9" * 4000, "[" * 900 + "]" * 900, "{}", '{"a": [1]}', "null"):
        body = f'{{"image": "{as_base64(photo)}", "{option}": {value}}}'

        response = post_json(client, body)

        if value == "null":
            assert response.content == send(client, photo).content  # it is left out
        else:
            assert list(wrong_options(response)) == [option], value


@pytest.mark.parametrize("digits", [1, 9, 10, 4000])
def test_an_index_with_many_digits(client: httpx.Client, photo: bytes, digits: int) -> None:
    target = "9" * digits
    answer = post_json(client, f'{{"image": "{as_base64(photo)}", "target": {target}}}')

    if digits == 1:
        assert answer.json()["target"]["index"] == 9
    else:
        assert list(wrong_options(answer)) == ["target"]


# --- null


@pytest.mark.parametrize("path", PATHS)
def test_null_counts_as_left_out(client: httpx.Client, photo: bytes, path: str) -> None:
    kind = ExplainOptions if path == "/explain" else PredictOptions
    nothing: dict[str, Any] = dict.fromkeys(kind.model_fields)

    answer = send(client, photo, nothing, form="json", path=path)

    assert answer.status_code == 200
    assert answer.content == send(client, photo, path=path).content


def test_null_in_a_rule_counts_as_left_out(client: httpx.Client, photo: bytes) -> None:
    rule = {"layers": "type:linear", "rule": "gamma"}
    options = [{"composite": [rule | more]} for more in ({}, {"gamma": None, "stabilizer": None})]

    answers = [send(client, photo, each, form="json") for each in options]

    assert answers[1].status_code == 200
    assert answers[0].content == answers[1].content


def test_an_unknown_name_with_null_is_named(client: httpx.Client, photo: bytes) -> None:
    assert list(wrong_options(send(client, photo, {"sise": None}, form="json"))) == ["sise"]
    options = {"composite": [{"layers": "type:linear", "rule": "gamma", "gama": None}]}
    assert "gama" in wrong_options(send(client, photo, options, form="json"))["composite"]
