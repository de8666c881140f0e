"""Whatever a caller has as an image is sent as what it shows."""

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


def seen(content: bytes) -> Image.Image:
    """What the service makes of a file."""
    return decode(content, max_pixels=10_000)


def in_mode(mode: str) -> Image.Image:
    photo = smooth_photo(24, 40)
    return (photo.convert("RGBA") if mode == "RGBa" else photo).convert(mode)


@pytest.mark.parametrize("mode", MODES)
def test_a_picture_of_any_mode_is_what_it_shows(mode: str) -> None:
    picture = in_mode(mode)
    found = np.asarray(seen(image_bytes(picture)))
    np.testing.assert_array_equal(found, np.asarray(picture.convert("RGB")))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_as_upright_as_its_file(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / "turned.png"
    path.write_bytes(encode(smooth_photo(24, 40), "PNG", exif=exif))
    of_picture, of_file = (seen(image_bytes(one)) for one in (Image.open(path), path))
    assert of_picture.size == of_file.size == ((24, 40) if orientation > 4 else (40, 24))
    np.testing.assert_array_equal(np.asarray(of_picture), np.asarray(of_file))


def test_a_cmyk_file_and_its_picture_get_the_same_answer(
    server: RunningServer, cat: Path, tmp_path: Path
) -> None:
    path = tmp_path / "printed.tif"
    Image.open(cat).convert("CMYK").save(path)
    with Client(server.url) as asking:
        of_file, of_picture = (asking.predict(one) for one in (path, Image.open(path)))
    assert of_file.predictions == of_picture.predictions


def test_the_callers_picture_stays_as_it_is(cat: Path) -> None:
    picture = Image.open(cat)
    picture.getexif()[ORIENTATION] = 6
    before = (picture.size, picture.mode, picture.tobytes())
    image_bytes(picture)
    assert (picture.size, picture.mode, picture.tobytes()) == before


def test_a_file_that_is_not_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        image_bytes(tmp_path / "nothing.jpg")


def test_bytes_are_sent_as_they_are() -> None:
    assert image_bytes(b"anything") == b"anything"


def test_an_array_becomes_a_file_without_loss() -> None:
    array = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(image_bytes(array)))), array)
