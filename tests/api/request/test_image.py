"""Network inputs and views have the sizes that the card says."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from service.api.request.image import picture_spec
from service.api.request.options import ExplainOptions
from service.imaging.decode import EncodedImage
from service.imaging.pictures import load_picture
from service.models.card import ModelCard


@pytest.fixture
def png() -> bytes:
    """A picture of 128 x 192 pixels: its middle 64 x 64 are white, the others black."""
    pixels = np.zeros((128, 192, 3), np.uint8)
    pixels[32:96, 64:128] = 255
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_crop_cuts_the_centre_out_of_the_resized_picture(card: ModelCard, png: bytes) -> None:
    resized = card.model_copy(update={"resize": 64})
    options = ExplainOptions.model_validate({"output": "overlay", "size": 64})
    image, pictures = load_picture(EncodedImage(png), picture_spec(options, resized), 10**6)
    assert image.box == (64, 32, 128, 96)
    assert (image.pixels[1:-1, 1:-1] == 255).all()
    assert pictures is not None
    assert (np.asarray(pictures.view)[1:-1, 1:-1] == 255).all()
    assert pictures.original is None
    plain, _ = load_picture(EncodedImage(png), picture_spec(options, card), 10**6)
    assert plain.box == (32, 0, 160, 128)


@pytest.mark.parametrize("fit", ["stretch", "pad"])
def test_other_fits_show_all_of_the_picture(card: ModelCard, png: bytes, fit: str) -> None:
    resized = card.model_copy(update={"resize": 64})
    options = ExplainOptions.model_validate({"fit": fit})
    image, _ = load_picture(EncodedImage(png), picture_spec(options, resized), 10**6)
    assert image.box == load_picture(EncodedImage(png), picture_spec(options, card), 10**6)[0].box
