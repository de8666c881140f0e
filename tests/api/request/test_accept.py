from __future__ import annotations

import base64
import io
import json
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from service.api.request.accept import JSON, NPY, PNG
from service.api.response.explanation import EXPLANATION_HEADER
from tests.api.sending import problem_of, send, wrong_options

# Accept -> what is served by /explain; None for a 406
ACCEPTED: dict[str, str | None] = {
    "": JSON,
    "*/*": JSON,
    "*": JSON,
    "application/*": JSON,
    "application/json": JSON,
    "APPLICATION/JSON": JSON,
    "application/json; charset=utf-8": JSON,
    "application/json, image/png, application/x-npy": JSON,
    "image/png, application/json": JSON,
    "image/png": PNG,
    "Image/PNG": PNG,
    "image/*": PNG,
    "image/png,": PNG,
    "image/png;q=0.5, application/json;q=0.4": PNG,
    "application/json;q=0.4, image/png;Q=0.5": PNG,
    "image/png;q=0.4, application/json;q=0.5": JSON,
    "image/avif, image/webp, image/png, */*;q=0.8": PNG,
    "image/*;q=0.9, application/json;q=0.8": PNG,
    "image/*, application/json;q=0.8": PNG,
    "image/png;q=0, */*;q=0.1": JSON,
    "application/json;q=0, */*": PNG,
    "application/json;q=0, image/png;q=0, */*": NPY,
    "application/x-npy": NPY,
    "application/x-npy, image/png;q=0.99": NPY,
    "text/html, application/xhtml+xml, */*;q=0.8": JSON,
    "text/html": None,
    "image/jpeg": None,
    "image/png;q=0": None,
    "*/*;q=0": None,
    "application/json;q=0": None,
    "application/problem+json": None,
    "nonsense": None,
    "a/b/c": None,
}
TYPES = (JSON, PNG, NPY)


def explain(client: httpx.Client, photo: bytes, accept: str, **options: Any) -> httpx.Response:
    return send(client, photo, options, headers={"Accept": accept})


def header_of(response: httpx.Response) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(response.headers[EXPLANATION_HEADER])
    return found


@pytest.mark.parametrize("accept", ACCEPTED)
def test_the_format_of_the_best_quality(client: httpx.Client, photo: bytes, accept: str) -> None:
    expected = ACCEPTED[accept]

    answer = explain(client, photo, accept, size=16)

    if expected is None:
        problem_of(answer, 406, f"`Accept: {accept}`", *TYPES)
    else:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == expected
        assert answer.headers["vary"] == "Accept"


def test_without_accept_it_is_json(client: httpx.Client, photo: bytes) -> None:
    request = client.build_request("POST", "/explain", files={"image": photo})
    del request.headers["Accept"]

    assert client.send(request).headers["content-type"] == JSON


def test_accept_in_several_lines(client: httpx.Client, photo: bytes) -> None:
    lines = [("Accept", "text/html"), ("Accept", "image/png"), ("Content-Type", "image/jpeg")]

    assert client.post("/explain", content=photo, headers=lines).headers["content-type"] == PNG


@pytest.mark.parametrize("accept", ["a/b, " * 10_000 + "*/*", ";" * 50_000])
def test_a_long_header_is_refused_before_it_is_parsed(
    client: httpx.Client, photo: bytes, accept: str
) -> None:
    problem_of(explain(client, photo, accept), 406, "more than 4000 characters", *TYPES)


@pytest.mark.parametrize("accept", [PNG, NPY, "image/*"])
def test_predict_is_json_only(client: httpx.Client, photo: bytes, accept: str) -> None:
    answer = send(client, photo, path="/predict", headers={"Accept": accept})

    assert JSON in problem_of(answer, 406).detail
    assert answer.json()["detail"].split("accept one of:")[1].strip() == JSON


def test_problems_ignore_accept(client: httpx.Client) -> None:
    problem_of(send(client, b"no image", headers={"Accept": PNG}), 400)


# --- one answer in three formats


@pytest.mark.parametrize("accept", [PNG, NPY])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"target": "dog", "contrast": "cat", "start": "logit", "fit": "pad", "bound": 0.01},
        {"composite": "none", "top_k": 1},
        {"attributor": "smooth_grad", "n_samples": 2, "layer": "features.5"},
        {"composite": '[{"layers": "type:dense", "rule": "epsilon"}]'},
    ],
)
def test_the_header_has_the_rest_of_the_response(
    client: httpx.Client, photo: bytes, accept: str, options: dict[str, Any]
) -> None:
    expected = explain(client, photo, JSON, **options).json()
    del expected["heatmap"]

    answer = explain(client, photo, accept, **options)

    assert answer.headers[EXPLANATION_HEADER].isascii()
    assert header_of(answer) == expected


def test_json_has_no_such_header(client: httpx.Client, photo: bytes) -> None:
    assert EXPLANATION_HEADER not in explain(client, photo, JSON).headers


@pytest.mark.parametrize("output", ["heatmap", "overlay"])
def test_a_png_is_the_picture_of_the_json(client: httpx.Client, photo: bytes, output: str) -> None:
    in_json = explain(client, photo, JSON, output=output).json()[output]

    answer = explain(client, photo, PNG, output=output)

    assert answer.content == bytes_of(in_json)
    assert Image.open(io.BytesIO(answer.content)).size == (256, 256)


@pytest.mark.parametrize(
    "output", ["relevance", "heatmap,overlay", "heatmap,relevance", "view,original"]
)
def test_a_png_is_one_picture(client: httpx.Client, photo: bytes, output: str) -> None:
    problems = wrong_options(explain(client, photo, PNG, output=output))

    told = "must be one of heatmap, overlay, view, original where a PNG is accepted"
    assert problems == {"output": told}


@pytest.mark.parametrize("output", ["view", "original"])
def test_a_png_can_be_the_image_itself(client: httpx.Client, photo: bytes, output: str) -> None:
    in_json = explain(client, photo, JSON, output=output).json()["image"][output]

    answer = explain(client, photo, PNG, output=output)

    assert answer.content == bytes_of(in_json)
    assert output not in header_of(answer)["image"]


@pytest.mark.parametrize(("channels", "shape"), [("sum", (32, 32)), ("all", (3, 32, 32))])
def test_relevance_is_the_same_in_every_format(
    client: httpx.Client, photo: bytes, channels: str, shape: tuple[int, ...]
) -> None:
    arrays = [
        explain(client, photo, JSON, output="relevance", channels=channels, relevance_format=name)
        .json()["relevance"]
        for name in ("base64", "list")
    ]  # fmt: skip
    npy = explain(client, photo, NPY, channels=channels)

    binary = np.frombuffer(bytes_of(arrays[0]["data"]), "<f4").reshape(shape)
    listed = np.array(arrays[1]["data"], np.float32)
    loaded = np.load(io.BytesIO(npy.content), allow_pickle=False)

    assert [array["shape"] for array in arrays] == [list(shape)] * 2
    assert [array["dtype"] for array in arrays] == ["float32"] * 2
    assert np.array_equal(binary, listed)
    assert np.array_equal(binary, loaded)
    assert loaded.dtype == np.dtype("<f4")
    assert loaded.flags.c_contiguous


@pytest.mark.parametrize("output", ["heatmap", "overlay", "heatmap,overlay,relevance"])
def test_npy_ignores_output(client: httpx.Client, photo: bytes, output: str) -> None:
    plain = explain(client, photo, NPY)

    assert explain(client, photo, NPY, output=output).content == plain.content


def bytes_of(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
