"""Images of every type and mode are sent with the pixels that they show."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageCms

from lrpserve_client import Client
from lrpserve_client.images import image_bytes
from service.imaging.decode import decode
from tests.helpers.pictures import ORIENTATION, encode, smooth_photo
from tests.helpers.servers import RunningServer

MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "RGBa", "CMYK", "YCbCr", "HSV", "LAB"]


def decoded(content: bytes) -> Image.Image:
    """A file as the service decodes it."""
    return decode(content, max_pixels=10_000)


def photo_rgb() -> NDArray[np.int64]:
    return np.asarray(smooth_photo(24, 40)).astype(np.int64)


def in_mode(mode: str) -> Image.Image:
    photo = smooth_photo(24, 40)
    if mode == "LAB":
        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        return ImageCms.buildTransform(*profiles, "RGB", "LAB").apply(photo)
    return (photo.convert("RGBA") if mode == "RGBa" else photo).convert(mode)


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_is_sent_as_its_rgb_pixels(mode: str) -> None:
    image = in_mode(mode)
    expected = photo_rgb() if mode == "LAB" else np.asarray(image.convert("RGB")).astype(int)
    pixels = np.asarray(decoded(image_bytes(image)))
    assert np.abs(pixels - expected).mean() <= (2 if mode == "LAB" else 0)  # its steps are coarse


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


FILES = Path(__file__).parents[1] / "imaging" / "files"


@pytest.mark.parametrize(
    "name",
    ["icc_gbr.jpg", "icc_gbr.png", "icc_gbr.tiff", "icc_adobe_automobile3.png",
     "png_gama_linear.png", "tif_gray16_be.tif", "tif_gray16_wiz.tif", "a.avif"],
)  # fmt: skip
def test_a_pil_image_is_sent_with_the_colours_of_its_file(name: str) -> None:
    from_file = np.asarray(decoded((FILES / name).read_bytes())).astype(int)
    if name == "tif_gray16_wiz.tif":  # Pillow opens it as a negative, and does not say so
        from_file = 255 - from_file
    from_pil = np.asarray(decoded(image_bytes(Image.open(FILES / name))))
    assert np.abs(from_pil - from_file).max() == 0


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I;16L"])
def test_of_16_bits_the_upper_byte_is_sent(mode: str) -> None:
    grey = np.random.default_rng(0).integers(0, 2**16, (5, 7), dtype=np.uint16)
    order = ">u2" if mode.endswith("B") else "<u2"
    image = Image.frombytes(mode, (7, 5), grey.astype(order).tobytes())
    assert np.array_equal(np.asarray(decoded(image_bytes(image)))[..., 0], grey >> 8)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_a_pil_image_of_32_bits_says_how_to_convert_it(mode: str) -> None:
    with pytest.raises(ValueError, match=f"mode {mode} does not say which value is white: scale"):
        image_bytes(Image.new(mode, (4, 4)))


def test_premultiplied_grey_keeps_its_transparency() -> None:
    image = Image.new("LA", (4, 4), (100, 0)).convert("La")
    assert (np.asarray(decoded(image_bytes(image))) == 255).all()


def test_a_pil_image_is_not_turned_by_its_xmp() -> None:
    image = smooth_photo(24, 40)
    image.info["xmp"] = b'<x tiff:Orientation="6"/>'
    assert decoded(image_bytes(image)).size == (40, 24)


RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
OPAQUE = np.full((5, 7, 1), 255, np.uint8)
CHANNELS_FIRST = np.ascontiguousarray(RGB.transpose(2, 0, 1))
ARRAYS = {
    "grey": (RGB[..., 0], RGB[..., :1]),
    "grey with an axis": (RGB[..., :1], RGB[..., :1]),
    "RGBA": (np.concatenate([RGB, OPAQUE], axis=2), RGB),
    "16 bit": (RGB.astype(np.uint16) * 256 + 77, RGB),
    "16 bit grey": (RGB[..., 0].astype(np.uint16) * 256 + 77, RGB[..., :1]),
    "tensor": (torch.from_numpy(CHANNELS_FIRST), RGB),
    "grey tensor": (torch.from_numpy(RGB[..., 0].copy()), RGB[..., :1]),
    "16 bit tensor": (torch.from_numpy(CHANNELS_FIRST.astype(np.uint16) * 256), RGB),
    "view": (RGB[::-1, ::2], RGB[::-1, ::2]),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_and_tensors_of_each_shape(kind: str) -> None:
    array, expected = ARRAYS[kind]
    pixels = np.asarray(decoded(image_bytes(array)))  # type: ignore[arg-type]  # also tensors
    np.testing.assert_array_equal(pixels, np.broadcast_to(expected, pixels.shape))


@pytest.mark.parametrize("kind", [bytearray, memoryview, io.BytesIO])
def test_bytes_of_each_kind_are_sent_unchanged(kind: type) -> None:
    assert image_bytes(kind(b"anything")) == b"anything"


def test_an_open_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"anything")
    with path.open("rb") as file:
        assert image_bytes(file) == b"anything"
    with path.open() as text, pytest.raises(TypeError, match="mode 'rb'"):
        image_bytes(text)  # type: ignore[arg-type]  # what is tested


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (torch.rand(3, 4, 4), "uint8 or uint16, not torch.float32: scale it to 0 to 255"),
        (torch.zeros(5, 4, 3, dtype=torch.uint8), "1, 3 or 4, height, width"),
        (np.zeros((4, 4, 3)), "not float64 of shape"),
        (RGB[None], "height, width, 1, 3 or 4"),
        (np.zeros((0, 4, 3), np.uint8), r"of shape \(0, 4, 3\)"),
        (5, "a torch tensor .* not builtins.int"),
    ],
)
def test_other_images_are_refused_with_what_is_taken(image: object, words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        image_bytes(image)  # type: ignore[arg-type]  # what is tested


def test_an_array_is_encoded_without_loss() -> None:
    array = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(image_bytes(array)))), array)
