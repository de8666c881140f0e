"""Image files to network inputs: decode, fit, and cut out the view for an overlay."""

from __future__ import annotations

from typing import TypeGuard

from PIL import Image

from service.api.executor import is_small
from service.api.request.options import ExplainOptions, PredictOptions
from service.imaging.decode import Decoded, EncodedImage
from service.imaging.fit import Color, FittedImage, fit_image, render_box
from service.models.card import ModelCard


def load_picture(
    file: EncodedImage, options: PredictOptions, card: ModelCard, max_pixels: int
) -> tuple[FittedImage, Image.Image | None]:
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
    view : Image.Image or None
        For an overlay: the same part of the picture, at the size of the overlay.
    """
    side = max(*card.input_size, card.resize or 0)
    if not _has_view(options):
        decoded = file.decode(max_pixels, side)
        return _fit(decoded, options, card), None
    scale = options.size / max(card.input_size)
    height, width = (round(length * scale) for length in card.input_size)
    decoded = file.decode(max_pixels, max(side, round(side * scale)))
    image = _fit(decoded, options, card)
    return image, render_box(
        decoded.image, image.box, (height, width), _pad_color(card), decoded.original
    )


def is_small_picture(file: EncodedImage, options: PredictOptions) -> bool:
    """Whether `load_picture` is small work.

    Raises
    ------
    NotAnImage, UnsupportedMediaType
        The file cannot be decoded.
    """
    if not is_small(len(file.content)) or file.has_slow_header or _has_view(options):
        return False
    return is_small(len(file.content), file.n_pixels)


def _has_view(options: PredictOptions) -> TypeGuard[ExplainOptions]:
    return isinstance(options, ExplainOptions) and "overlay" in options.output


def _fit(decoded: Decoded, options: PredictOptions, card: ModelCard) -> FittedImage:
    return fit_image(
        decoded.image,
        card.input_size,
        options.fit,
        _pad_color(card),
        card.resize,
        decoded.original,
    )


def _pad_color(card: ModelCard) -> Color:
    """The training data's mean colour, which is zero after normalization."""
    red, green, blue = (round(255 * value) for value in card.mean)
    return (red, green, blue)
