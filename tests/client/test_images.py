"""Images of every type and mode are sent with the pixels that they show."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lrpserve_client import Client
from lrpserve_client.images import image_bytes
from service.imaging.decode import decode
from tests.helpers.pictures import ORIENTATION, encode, smooth_photo
from tests.helpers.servers import RunningServer

MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "RGBa", "CMYK", "YCbCr", "HSV", "F"]


def decoded(content: bytes) -> Image.Image:
    """A file as the service decodes it."""
    return decode(content, max_pixels=10_000)


def in_mode(mode: str) -> Image.Image:
    photo = smooth_photo(24, 40)
    return (photo.convert("RGBA") if mode == "RGBa" else photo).convert(mode)


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_is_sent_as_its_rgb_pixels(mode: str) -> None:
    image = in_mode(mode)
    pixels = np.asarray(decoded(image_bytes(image)))
    np.testing.assert_array_equal(pixels, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_applies_to_files_and_pil_images(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / "turned.png"
    path.write_bytes(encode(smooth_photo(24, 40), "PNG", exif=exif))
    from_pil, from_file = (decoded(image_bytes(source)) for source in (Image.open(path), path))
    assert from_pil.size == from_file.size == ((24, 40) if orientation > 4 else (40, 24))
    np.testing.assert_array_equal(np.asarray(from_pil), np.asarray(from_file))


def test_a_cmyk_file_and_its_pil_image_give_the_same_prediction(
    server: RunningServer, cat: Path, tmp_path: Path
) -> None:
    path = tmp_path / "printed.tif"
    Image.open(cat).convert("CMYK").save(path)
    with Client(server.url) as lrpserve:
        from_file, from_pil = (lrpserve.predict(source) for source in (path, Image.open(path)))
    assert from_file.predictions == from_pil.predictions


def test_the_callers_image_is_not_changed(cat: Path) -> None:
    image = Image.open(cat)
    image.getexif()[ORIENTATION] = 6
    before = (image.size, image.mode, image.tobytes())
    image_bytes(image)
    assert (image.size, image.mode, image.tobytes()) == before


def test_a_missing_file_raises_file_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        image_bytes(tmp_path / "nothing.jpg")


def test_bytes_are_sent_unchanged() -> None:
    assert image_bytes(b"anything") == b"anything"


def test_an_array_is_encoded_without_loss() -> None:
    array = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(image_bytes(array)))), array)
