"""Cropping, stretching and padding of images to the input size of a network."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.imaging.decode import Decoded

Fit = Literal["crop", "stretch", "pad"]
Box = tuple[int, int, int, int]
ExactBox = tuple[float, float, float, float]
Color = tuple[int, int, int]
_ROUNDING = 1e-9  # of a box, in pixels


@dataclass(frozen=True)
class FittedImage:
    """The network's view of an image.

    Attributes
    ----------
    pixels : NDArray[uint8]
        RGB, shape (H, W, 3), contiguous.
    width, height : int
        Size of the upright image, in pixels.
    box : tuple of 4 int
        Left, top, right, bottom of the network's view, in whole pixels of the upright image;
        reaches beyond the image for `pad`.
    exact_box : tuple of 4 float
        The same before rounding.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int
    box: Box
    exact_box: ExactBox


def fit_image(
    decoded: Decoded, size: tuple[int, int], fit: Fit, fill: Color, resize: int | None = None
) -> FittedImage:
    """Crop, stretch or pad an image to a size, with antialiased bilinear resampling.

    Parameters
    ----------
    decoded : Decoded
        The image.
    size : tuple of 2 int
        Height and width of the network's input.
    fit : {"crop", "stretch", "pad"}
        `crop` cuts the centre out, `pad` adds bars of the colour `fill`.
    fill : tuple of 3 int
        RGB, 0 to 255.
    resize : int or None
        With `crop`, the length in pixels that the shorter side is first resized to, at least both
        of `size`; None to crop as little as possible.
    """
    height, width = decoded.original
    box = fit_box(decoded.original, size, fit, resize)
    pixels = np.asarray(render_box(decoded, box, size, fill), dtype=np.uint8)
    return FittedImage(np.ascontiguousarray(pixels), width, height, _whole_pixels(box), box)


def fit_box(
    picture_size: tuple[int, int], size: tuple[int, int], fit: Fit, resize: int | None = None
) -> ExactBox:
    """The box of an image that the network sees.

    Parameters
    ----------
    picture_size, size : tuple of 2 int
        Height and width, of the image and of the network's input.
    fit : {"crop", "stretch", "pad"}
        As in `fit_image`.
    resize : int or None
        As in `fit_image`.

    Returns
    -------
    tuple of 4 float
        Left, top, right, bottom, in pixels of the image.
    """
    height, width = picture_size
    if fit == "stretch":
        return (0, 0, width, height)
    if fit == "crop" and resize is not None:
        return _resized_crop(picture_size, size, resize)
    scale = (min if fit == "crop" else max)(width / size[1], height / size[0])
    box_width, box_height = size[1] * scale, size[0] * scale
    left, top = (width - box_width) / 2, (height - box_height) / 2
    return (left, top, left + box_width, top + box_height)


def render_box(decoded: Decoded, box: ExactBox, size: tuple[int, int], fill: Color) -> Image.Image:
    """Render a box of an image at a size; the area beyond the image has the colour `fill`.

    Parameters
    ----------
    decoded, size, fill
        As in `fit_image`.
    box : tuple of 4 float
        Left, top, right, bottom, in pixels of the original.
    """
    left, top, right, bottom = box
    full_height, full_width = decoded.original
    inner = (max(left, 0), max(top, 0), min(right, full_width), min(bottom, full_height))
    height, width = size
    x_scale, y_scale = width / (right - left), height / (bottom - top)
    inner_width = max(1, round((inner[2] - inner[0]) * x_scale))
    inner_height = max(1, round((inner[3] - inner[1]) * y_scale))
    part = _resized(decoded, inner, (inner_width, inner_height))
    if (inner_height, inner_width) == size:
        return part
    x, y = round((inner[0] - left) * x_scale), round((inner[1] - top) * y_scale)
    canvas = Image.new("RGB", (width, height), fill)
    canvas.paste(part, (min(x, width - 1), min(y, height - 1)))
    return canvas


def _resized_crop(picture_size: tuple[int, int], size: tuple[int, int], resize: int) -> ExactBox:
    """The box of torchvision's `Resize(resize)` and `CenterCrop(size)`, with their rounding."""
    shorter = min(picture_size)
    resized = [int(resize * length / shorter) for length in picture_size]
    starts = [round((length - cut) / 2) for length, cut in zip(resized, size, strict=True)]
    (y_scale, x_scale), (top, left) = np.divide(picture_size, resized).tolist(), starts
    right, bottom = left + size[1], top + size[0]
    return (left * x_scale, top * y_scale, right * x_scale, bottom * y_scale)


def _resized(decoded: Decoded, box: ExactBox, size: tuple[int, int]) -> Image.Image:
    """A box of an image, in pixels of the original, resized to a width and a height."""
    image, (x, y, end_x, end_y) = decoded.image, decoded.extent
    x_scale = (end_x - x) / decoded.original[1]
    y_scale = (end_y - y) / decoded.original[0]
    left, top, right, bottom = box
    reduced = (
        max(x + left * x_scale, 0),
        max(y + top * y_scale, 0),
        min(x + right * x_scale, image.width),  # or rounding would reach beyond the image
        min(y + bottom * y_scale, image.height),
    )
    return image.resize(size, Image.Resampling.BILINEAR, box=reduced)


def _whole_pixels(box: ExactBox) -> Box:
    """A box rounded to whole pixels, at least one wide and high, with the same centre."""
    left, right = _whole_span(box[0], box[2])
    top, bottom = _whole_span(box[1], box[3])
    return (left, top, right, bottom)


def _whole_span(start: float, end: float) -> tuple[int, int]:
    n = max(1, round(end - start))
    first = math.ceil((start + end - n) / 2 - 0.5 - _ROUNDING)
    return first, first + n
