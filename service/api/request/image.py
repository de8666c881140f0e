"""What the options of a request, and a model's card, say to make of an image file."""

from __future__ import annotations

from dataclasses import replace

from service.api.request.options import NEEDS_IMAGE, ExplainOptions, PredictOptions
from service.imaging.fit import Color
from service.imaging.pictures import PictureSpec
from service.models.card import ModelCard


def picture_spec(options: PredictOptions, card: ModelCard) -> PictureSpec:
    """Make the spec of an image for a network.

    Parameters
    ----------
    options : PredictOptions
        `fit` counts; of `ExplainOptions` also `output` and `size`.
    card : ModelCard
        The network's card.
    """
    spec = PictureSpec(card.input_size, options.fit, _mean_color(card), card.resize)
    if not isinstance(options, ExplainOptions) or NEEDS_IMAGE.isdisjoint(options.output):
        return spec
    return replace(spec, picture_side=options.size, has_original="original" in options.output)


def _mean_color(card: ModelCard) -> Color:
    """The training data's mean colour, which is zero after normalization."""
    red, green, blue = (round(255 * value) for value in card.mean)
    return (red, green, blue)
