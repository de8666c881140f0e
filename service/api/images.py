"""From the bytes of a file to what the network sees of it."""

from __future__ import annotations

from PIL import Image

from service.api.options import ExplainOptions, PredictOptions
from service.imaging.decode import count_pixels, decode
from service.imaging.fit import Color, FittedImage, fit_image, render_box
from service.models.card import ModelCard

_SMALL_BYTES, _SMALL_PIXELS = 1 << 17, 1 << 14


def load_picture(
    content: bytes, options: PredictOptions, card: ModelCard, max_pixels: int
) -> tuple[FittedImage, Image.Image | None]:
    """Decode an image file and fit it to a network. Takes long for a large one: use a thread.

    Parameters
    ----------
    content : bytes
        The file.
    options : PredictOptions
        Its `fit`; of `ExplainOptions` also `output` and `size`.
    card : ModelCard
        Of the network.
    max_pixels : int
        Images with more are refused before they are decoded.

    Returns
    -------
    image : FittedImage
        What the network sees.
    view : Image.Image or None
        The same part of the picture at the size of the answer, where an overlay was asked for.
    """
    picture = decode(content, max_pixels)
    fill = _pad_color(card)
    image = fit_image(picture, card.input_size, options.fit, fill, card.resize)
    if not isinstance(options, ExplainOptions) or "overlay" not in options.output:
        return image, None
    scale = options.size / max(card.input_size)
    height, width = (round(side * scale) for side in card.input_size)
    return image, render_box(picture, image.box, (height, width), fill)


def is_small(content: bytes, options: PredictOptions) -> bool:
    """Whether `load_picture` takes well below a millisecond."""
    has_view = isinstance(options, ExplainOptions) and "overlay" in options.output
    return not has_view and len(content) <= _SMALL_BYTES and count_pixels(content) <= _SMALL_PIXELS


def _pad_color(card: ModelCard) -> Color:
    """The mean colour: the network sees it as zero."""
    red, green, blue = (round(255 * value) for value in card.mean)
    return (red, green, blue)
