"""Image files to network inputs: decode, fit, and keep the pictures that responses show."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeGuard

from PIL import Image

from service.api.executor import is_small
from service.api.request.options import NEEDS_IMAGE, ExplainOptions, PredictOptions
from service.imaging.decode import Decoded, EncodedImage
from service.imaging.fit import Color, FittedImage, fit_image, render_box
from service.imaging.render import picture_png
from service.imaging.render_options import scaled_size
from service.models.card import ModelCard


@dataclass(frozen=True)
class Pictures:
    """The image as responses show it: upright, sRGB, mode RGB.

    Attributes
    ----------
    view : Image.Image
        The part that the network saw, with the aspect ratio of the network's input.
    original : Image.Image or None
        The whole image; None if `output` excludes it.
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


def load_picture(
    file: EncodedImage, options: PredictOptions, card: ModelCard, max_pixels: int
) -> tuple[FittedImage, Pictures | None]:
    """Decode an image file and fit it to a network. Takes long for a large image: use a thread.

    Parameters
    ----------
    file : EncodedImage
        The image file.
    options : PredictOptions
        `fit` counts; of `ExplainOptions` also `output` and `size`.
    card : ModelCard
        The network's card.
    max_pixels : int
        Larger images are refused before they are decoded.

    Returns
    -------
    image : FittedImage
        The input of the network.
    pictures : Pictures or None
        For an overlay or a picture of the image itself, at the size of the overlay.
    """
    side = max(*card.input_size, card.resize or 0)
    if not _has_pictures(options):
        return _fit(file.decode(max_pixels, side), options, card), None
    scale = options.size / max(card.input_size)
    decoded = file.decode(max_pixels, max(side, round(side * scale)))
    image = _fit(decoded, options, card)
    return image, _pictures(decoded, image, options, card)


def is_small_picture(file: EncodedImage, options: PredictOptions) -> bool:
    """Whether `load_picture` is small work.

    Raises
    ------
    NotAnImage, UnsupportedMediaType
        The file cannot be decoded.
    """
    if not is_small(len(file.content)) or file.has_slow_header or _has_pictures(options):
        return False
    return is_small(len(file.content), file.n_pixels)


def _has_pictures(options: PredictOptions) -> TypeGuard[ExplainOptions]:
    return isinstance(options, ExplainOptions) and not NEEDS_IMAGE.isdisjoint(options.output)


def _pictures(
    decoded: Decoded, image: FittedImage, options: ExplainOptions, card: ModelCard
) -> Pictures:
    width, height = scaled_size(card.input_size, options.size)
    view = render_box(decoded, image.exact_box, (height, width), _pad_color(card))
    if "original" not in options.output:
        return Pictures(view, None)
    original_size = scaled_size(decoded.original, options.size)
    return Pictures(
        view, decoded.image.resize(original_size, Image.Resampling.BILINEAR, decoded.extent)
    )


def _fit(decoded: Decoded, options: PredictOptions, card: ModelCard) -> FittedImage:
    return fit_image(decoded, card.input_size, options.fit, _pad_color(card), card.resize)


def _pad_color(card: ModelCard) -> Color:
    """The training data's mean colour, which is zero after normalization."""
    red, green, blue = (round(255 * value) for value in card.mean)
    return (red, green, blue)
