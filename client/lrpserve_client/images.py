"""Images of any supported type, encoded as files."""

from __future__ import annotations

import io
import os
import struct
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, PngImagePlugin


class BinaryFile(Protocol):
    """A file that is open for reading bytes."""

    def read(self) -> bytes:
        """The rest of the file."""
        ...


ImageSource = (
    bytes
    | bytearray
    | memoryview
    | str
    | os.PathLike[str]
    | BinaryFile
    | Image.Image
    | NDArray[np.uint8]
    | NDArray[np.uint16]
)
_TAKEN = (
    "bytes, a path, a file open for reading bytes, a PIL image, a numpy array (uint8 or uint16, of "
    "shape (height, width) or (height, width, 1, 3 or 4)) or a torch tensor (the same types, of "
    "shape (height, width) or (1, 3 or 4, height, width))"
)
_N_CHANNELS = (1, 3, 4)
_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
_TIFF_MODES = ("CMYK", "LAB")  # PNG does not have them; the service converts them by their profile
_16_BIT_MODES = ("I;16B", "I;16L", "I;16N")
_PREMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}
_GAMMA_SCALE = 100_000


def image_bytes(image: ImageSource) -> bytes:
    """The image as the bytes of a file; PIL images, arrays and tensors become PNGs or TIFFs.

    Parameters
    ----------
    image
        The bytes of a file, its path, a file that is open for reading bytes, a PIL image (its EXIF
        orientation is applied), an array of type uint8 or uint16 and shape (height, width) or
        (height, width, channels) with 1, 3 or 4 channels, or a torch tensor of the same types and
        shape (height, width) or (channels, height, width). Of 16 bits the upper 8 count.

    Raises
    ------
    TypeError, ValueError
        Another type, an array of another dtype or shape, or a PIL image whose range of values is
        not known (32-bit integers and floats).
    OSError
        The file cannot be read.
    """
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if isinstance(image, str | os.PathLike):
        return Path(image).read_bytes()
    if isinstance(image, np.ndarray):
        return _encode(_from_array(image))
    if isinstance(image, Image.Image):
        return _encode(_upright(_with_known_range(image)))
    if _is_tensor(image):
        return _encode(_from_array(_channels_last(image)))
    if hasattr(image, "read"):
        return _read(image)
    raise TypeError(f"an image is {_TAKEN}, not {_type_name(image)}")


def _read(file: BinaryFile) -> bytes:
    content = file.read()
    if not isinstance(content, bytes):
        raise TypeError(f"the file has to be open for reading bytes (mode 'rb'), not {file!r}")
    return content


def _is_tensor(image: Any) -> bool:
    """Whether it is a torch tensor, without importing torch."""
    return any(_type_name_of(base) == "torch.Tensor" for base in type(image).__mro__)


def _channels_last(tensor: Any) -> NDArray[Any]:
    if tensor.dtype.is_floating_point or tensor.dtype.is_complex:
        raise ValueError(
            f"a tensor has to be uint8 or uint16, not {tensor.dtype}: scale it to 0 to 255 and "
            "convert it with .to(torch.uint8)"
        )
    array: NDArray[Any] = tensor.detach().cpu().numpy()
    if array.ndim == 3 and array.shape[0] not in _N_CHANNELS:
        raise ValueError(
            "a tensor has to have the shape (height, width) or (1, 3 or 4, height, width), "
            f"not {array.shape}"
        )
    return np.moveaxis(array, 0, -1) if array.ndim == 3 else array


def _from_array(array: NDArray[Any]) -> Image.Image:
    is_shape = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in _N_CHANNELS)
    if array.dtype not in (np.uint8, np.uint16) or not is_shape or not array.size:
        raise ValueError(
            "an array has to be uint8 or uint16 of shape (height, width) or "
            f"(height, width, 1, 3 or 4), not {array.dtype} of shape {array.shape}"
        )
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    return Image.fromarray(np.ascontiguousarray(array))


def _encode(image: Image.Image) -> bytes:
    """Encode without loss, so that the service converts the image as it converts the file."""
    if image.mode in _16_BIT_MODES:
        values = np.asarray(image).astype(np.uint16)
        image = Image.fromarray(values)
    buffer = io.BytesIO()
    if image.mode in _TIFF_MODES:
        image.save(buffer, "TIFF", compression="tiff_adobe_deflate")
        return buffer.getvalue()
    if image.mode not in _PNG_MODES:
        has_alpha = image.mode in ("PA", *_PREMULTIPLIED)
        image = image.convert(_PREMULTIPLIED.get(image.mode, "RGBA" if has_alpha else "RGB"))
    image.save(buffer, "PNG", pnginfo=_color_chunks(image.info))
    return buffer.getvalue()


def _upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation, which a PNG would lose; like the service, not that of XMP."""
    plain = image.copy()
    for name in ("xmp", "XML:com.adobe.xmp"):
        plain.info.pop(name, None)
    return ImageOps.exif_transpose(plain)


def _with_known_range(image: Image.Image) -> Image.Image:
    """Refuse 32-bit images, but for 16-bit PNGs as older versions of Pillow open them."""
    if image.mode not in ("I", "F"):
        return image
    if image.mode == "I" and image.format == "PNG":
        return Image.fromarray(np.asarray(image).astype(np.uint16))
    raise ValueError(
        f"a PIL image of mode {image.mode} does not say which value is white: scale it to 0 to 255 "
        'and convert it, for example with Image.fromarray(values.astype("uint8"))'
    )


def _color_chunks(info: dict[str | tuple[int, int], Any]) -> PngImagePlugin.PngInfo:
    """What a PNG said about its colours; Pillow itself writes the ICC profile only."""
    chunks = PngImagePlugin.PngInfo()
    if "srgb" in info:
        chunks.add(b"sRGB", bytes([info["srgb"]]))
    if "gamma" in info:
        chunks.add(b"gAMA", struct.pack(">I", round(info["gamma"] * _GAMMA_SCALE)))
    if "chromaticity" in info:
        numbers = (round(number * _GAMMA_SCALE) for number in info["chromaticity"])
        chunks.add(b"cHRM", struct.pack(">8I", *numbers))
    return chunks


def _type_name(value: object) -> str:
    return _type_name_of(type(value))


def _type_name_of(kind: type) -> str:
    return f"{kind.__module__}.{kind.__name__}"
