"""Cropping, stretching and padding of images to the input size of a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Fit = Literal["crop", "stretch", "pad"]
Box = tuple[int, int, int, int]
Color = tuple[int, int, int]


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
        Left, top, right, bottom of the network's view, in pixels of the upright image; reaches
        beyond the image for `pad`.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int
    box: Box


def fit_image(
    picture: Image.Image,
    size: tuple[int, int],
    fit: Fit,
    fill: Color,
    resize: int | None = None,
    original: tuple[int, int] | None = None,
) -> FittedImage:
    """Crop, stretch or pad an image to a size, with antialiased bilinear resampling.

    Parameters
    ----------
    picture : Image.Image
        Upright, mode RGB.
    size : tuple of 2 int
        Height and width of the network's input.
    fit : {"crop", "stretch", "pad"}
        `crop` cuts the centre out, `pad` adds bars of the colour `fill`.
    fill : tuple of 3 int
        RGB, 0 to 255.
    resize : int or None
        With `crop`, the length in pixels that the shorter side is first resized to, at least both
        of `size`; None to crop as little as possible.
    original : tuple of 2 int, optional
        Height and width before the image was decoded at a reduced size; the box is in its pixels.
    """
    height, width = original or (picture.height, picture.width)
    box = fit_box((height, width), size, fit, resize)
    view = render_box(picture, box, size, fill, original)
    pixels = np.asarray(view, dtype=np.uint8)
    return FittedImage(np.ascontiguousarray(pixels), width, height, box)


def fit_box(
    picture_size: tuple[int, int], size: tuple[int, int], fit: Fit, resize: int | None = None
) -> Box:
    """The box of an image that the network sees.

    Parameters
    ----------
    picture_size, size : tuple of 2 int
        Height and width, of the image and of the network's input.
    fit : {"crop", "stretch", "pad"}
        As in `fit_image`.
    resize : int or None
        As in `fit_image`.
    """
    height, width = picture_size
    if fit == "stretch":
        return (0, 0, width, height)
    if fit == "crop" and resize is not None:
        scale = min(width, height) / resize
    else:
        scale = (min if fit == "crop" else max)(width / size[1], height / size[0])
    box_width, box_height = max(1, round(size[1] * scale)), max(1, round(size[0] * scale))
    left, top = (width - box_width) // 2, (height - box_height) // 2
    return (left, top, left + box_width, top + box_height)


def render_box(
    picture: Image.Image,
    box: Box,
    size: tuple[int, int],
    fill: Color,
    original: tuple[int, int] | None = None,
) -> Image.Image:
    """Render a box of an image at a size; the area beyond the image has the colour `fill`.

    Parameters
    ----------
    picture, size, fill, original
        As in `fit_image`.
    box : tuple of 4 int
        Left, top, right, bottom, in pixels of the original.
    """
    left, top, right, bottom = box
    full_height, full_width = original or (picture.height, picture.width)
    inner = (max(left, 0), max(top, 0), min(right, full_width), min(bottom, full_height))
    height, width = size
    if inner == box:
        return _resized(picture, inner, (full_height, full_width), size)
    x_scale, y_scale = width / (right - left), height / (bottom - top)
    x, y = round((inner[0] - left) * x_scale), round((inner[1] - top) * y_scale)
    inner_width = max(1, round((inner[2] - inner[0]) * x_scale))
    inner_height = max(1, round((inner[3] - inner[1]) * y_scale))
    canvas = Image.new("RGB", (width, height), fill)
    part = _resized(picture, inner, (full_height, full_width), (inner_height, inner_width))
    canvas.paste(part, (min(x, width - 1), min(y, height - 1)))
    return canvas


def _resized(
    picture: Image.Image, box: Box, original: tuple[int, int], size: tuple[int, int]
) -> Image.Image:
    """A box of an image, in pixels of the original, resized."""
    x_scale, y_scale = picture.width / original[1], picture.height / original[0]
    left, top, right, bottom = box
    reduced = (
        left * x_scale,
        top * y_scale,
        min(right * x_scale, picture.width),  # or rounding would reach beyond the picture
        min(bottom * y_scale, picture.height),
    )
    return picture.resize((size[1], size[0]), Image.Resampling.BILINEAR, box=reduced)
