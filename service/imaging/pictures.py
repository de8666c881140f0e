"""Image files to network inputs, and to the pictures of the image that responses show."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from PIL import Image

from service.imaging.decode import Decoded, EncodedImage
from service.imaging.fit import Color, Fit, FittedImage, fit_image, render_box
from service.imaging.render import picture_png
from service.imaging.render_options import scaled_size


@dataclass(frozen=True)
class PictureSpec:
    """What is made of an image file.

    Attributes
    ----------
    input_size : tuple of 2 int
        Height and width of the network's input.
    fit : str
        As in `fit_image`.
    fill : tuple of 3 int
        The colour of the area beyond the image: RGB, 0 to 255.
    resize : int or None
        As in `fit_image`.
    picture_side : int or None
        The longer side of the pictures, in pixels; None without pictures.
    has_original : bool
        Whether the whole image is one of the pictures.
    """

    input_size: tuple[int, int]
    fit: Fit
    fill: Color
    resize: int | None = None
    picture_side: int | None = None
    has_original: bool = False


@dataclass(frozen=True)
class Pictures:
    """The image as responses show it: upright, sRGB, mode RGB.

    Attributes
    ----------
    view : Image.Image
        The part that the network saw, with the aspect ratio of the network's input.
    original : Image.Image or None
        The whole image, where the spec says so.
    """

    view: Image.Image
    original: Image.Image | None

    def pngs(self, output: Collection[str]) -> dict[str, bytes]:
        """PNGs of the pictures that `output` names, by name."""
        named = {"view": self.view, "original": self.original}
        return {
            name: picture_png(picture)
            for name, picture in named.items()
            if name in output and picture is not None
        }


Loaded = tuple[FittedImage, Pictures | None]


def load_picture(file: EncodedImage, spec: PictureSpec, max_pixels: int) -> Loaded:
    """Decode an image file, fit it to a network and make its pictures.

    Parameters
    ----------
    file : EncodedImage
        The image file.
    spec : PictureSpec
        What is made of it.
    max_pixels : int
        Larger images are refused before they are decoded.

    Raises
    ------
    ServiceError
        As `EncodedImage.decode` does.
    """
    side = max(*spec.input_size, spec.resize or 0)
    if spec.picture_side is not None:
        side = max(side, round(side * spec.picture_side / max(spec.input_size)))
    return fit_picture(file.decode(max_pixels, side), spec)


def fit_picture(decoded: Decoded, spec: PictureSpec) -> Loaded:
    """Fit a decoded image to a network and make its pictures."""
    image = _fit(decoded, spec)
    if spec.picture_side is None:
        return image, None
    return image, _pictures(decoded, image, spec, spec.picture_side)


def _fit(decoded: Decoded, spec: PictureSpec) -> FittedImage:
    return fit_image(decoded, spec.input_size, spec.fit, spec.fill, spec.resize)


def _pictures(decoded: Decoded, image: FittedImage, spec: PictureSpec, side: int) -> Pictures:
    width, height = scaled_size(spec.input_size, side)
    view = render_box(decoded, image.exact_box, (height, width), spec.fill)
    if not spec.has_original:
        return Pictures(view, None)
    size = scaled_size(decoded.original, side)
    return Pictures(view, decoded.image.resize(size, Image.Resampling.BILINEAR, decoded.extent))
