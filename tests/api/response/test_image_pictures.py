"""Pictures of the image itself: the part that the network saw, and the whole image."""

from __future__ import annotations

import base64
import io
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.api.sending import send
from tests.helpers.pictures import encode, smooth_photo

TURNED = 6  # EXIF: the camera was held on its side
ORIENTATION = 0x0112


def pictures(client: httpx.Client, content: bytes, **options: Any) -> dict[str, NDArray[np.int64]]:
    """The pictures of the response's `image`, RGB, shape (H, W, 3)."""
    asked = {"output": "view,original", **options}
    image = send(client, content, asked).json()["image"]
    return {name: pixels_of(image[name]) for name in ("view", "original")}


def pixels_of(text: str) -> NDArray[np.int64]:
    picture = Image.open(io.BytesIO(base64.b64decode(text)))
    assert (picture.format, picture.mode) == ("PNG", "RGB")
    return np.asarray(picture, dtype=np.int64)


def largest_difference(picture: NDArray[np.int64], expected: Image.Image) -> int:
    return int(np.abs(picture - np.asarray(expected, dtype=np.int64)).max())


def test_they_are_the_crop_and_the_whole_image(client: httpx.Client) -> None:
    photo = smooth_photo(48, 96)

    shown = pictures(client, encode(photo, "PNG"), size=96)

    assert largest_difference(shown["original"], photo) == 0
    crop = photo.crop((24, 0, 72, 48)).resize((96, 96), Image.Resampling.BILINEAR)
    assert largest_difference(shown["view"][2:-2, 2:-2], crop.crop((2, 2, 94, 94))) <= 1


def test_they_are_upright(client: httpx.Client) -> None:
    photo, exif = smooth_photo(48, 96), Image.Exif()
    exif[ORIENTATION] = TURNED

    shown = pictures(client, encode(photo, "PNG", exif=exif), size=96)

    upright = photo.transpose(Image.Transpose.ROTATE_270)
    assert largest_difference(shown["original"], upright) == 0
    assert shown["view"].shape == (96, 96, 3)


def test_what_is_transparent_is_white(client: httpx.Client) -> None:
    shown = pictures(client, encode(Image.new("RGBA", (40, 40), (255, 0, 0, 0)), "PNG"))

    assert (shown["view"] == 255).all()
    assert (shown["original"] == 255).all()


def test_a_padded_view_has_bars_and_the_whole_image_has_none(client: httpx.Client) -> None:
    shown = pictures(client, encode(Image.new("RGB", (100, 50)), "PNG"), fit="pad")

    assert shown["original"].shape == (128, 256, 3)
    assert not shown["original"].any()
    assert not shown["view"][128, 128].any()
    assert shown["view"][[10, 245], 128].min() > 50  # the colour of the bars


def test_the_view_is_what_the_overlay_is_drawn_on(client: httpx.Client, photo: bytes) -> None:
    asked = {"output": "overlay,view", "bound": 1e9}  # so that no relevance is seen
    answer = send(client, photo, asked).json()

    view, overlay = pixels_of(answer["image"]["view"]), pixels_of(answer["overlay"])

    grey = np.asarray(Image.fromarray(view.astype(np.uint8)).convert("L"), dtype=np.float64)
    lighter = grey + 0.35 * (255 - grey)
    assert np.abs(overlay - lighter[..., None]).max() <= 0.51


def test_they_are_in_the_response_only_where_output_names_them(
    client: httpx.Client, photo: bytes
) -> None:
    for output in ("heatmap", "overlay", "relevance", "view"):
        image = send(client, photo, {"output": output}).json()["image"]
        assert {"view", "original"} & set(image) == {"view", "original"} & {output}


def test_several_targets_share_them(client: httpx.Client, photo: bytes) -> None:
    asked = {"targets": ["cat", "dog"], "output": "view,relevance"}

    answer = send(client, photo, asked, form="json").json()

    assert pixels_of(answer["image"]["view"]).shape == (256, 256, 3)
    assert [set(each) & {"view", "relevance"} for each in answer["explanations"]] == [
        {"relevance"},
        {"relevance"},
    ]


def test_a_layer_without_rows_and_columns_has_them_too(client: httpx.Client, photo: bytes) -> None:
    answer = send(client, photo, {"layer": "classifier.1", "output": "view,relevance"})

    assert pixels_of(answer.json()["image"]["view"]).shape == (256, 256, 3)
