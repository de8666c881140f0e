"""Claim 2: what the network makes of the background, by itself and against the object."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from service.evidence.localization import relevance_mass
from training.claims.pasting import MARGIN, Cutouts
from training.claims.sample import Sample, partners
from training.claims.subject import Subject
from training.claims.values import Values, without

OTHER_MARGINS = (0, 1, 3)
_SEED = 0


@dataclass(frozen=True, eq=False)
class Swaps:
    """Objects on the backgrounds of other images.

    Attributes
    ----------
    pixels : Tensor
        uint8, shape (N, 3, H, W).
    chosen : Tensor
        The image that gave each background, int64 of shape (N,); -1 where there is none.
    """

    pixels: Tensor
    chosen: Tensor


def swap(subject: Subject, sample: Sample, cutouts: Cutouts, *, same_class: bool) -> Swaps:
    """Paste each object on the background of an image of the same class, or of another class."""
    chosen = partners(sample.labels, _SEED, same_class=same_class)
    return Swaps(subject.to_pixels(cutouts.pasted(chosen.clamp(min=0))), chosen)


def background_values(subject: Subject, sample: Sample) -> Values:
    """What the background alone says, and what it does to pasted objects.

    Returns
    -------
    dict
        `whole image`, `background alone` and `outline alone`: 1 where the true class is predicted.
        `same background`, `other background`: the same of pasted objects, and `background gap`
        their difference. `follows the background`: 1 where the class of the other background is
        predicted, `third class` the share of a class that neither the object nor the background
        has, and `background - third class` their difference.
    """
    cutouts = Cutouts(subject.normalize(sample.pixels), sample.masks)
    other = partners(sample.labels, _SEED, same_class=False)

    def is_right(images: Tensor) -> Tensor:
        return (subject.predicted(subject.to_pixels(images)) == sample.labels).double()

    alone = {margin: is_right(cutouts.background_beyond(margin)) for margin in OTHER_MARGINS}
    alone[MARGIN] = is_right(cutouts.background)
    outline = is_right(cutouts.outlines(other))
    values = {
        "whole image": is_right(cutouts.images),
        "background alone": alone[MARGIN],
        "outline alone": outline,
        "background - outline": alone[MARGIN] - outline,
    }
    margins = {f"background alone, margin {margin}": column for margin, column in alone.items()}
    return values | margins | _pasted_values(subject, sample, cutouts)


def _pasted_values(subject: Subject, sample: Sample, cutouts: Cutouts) -> Values:
    same, other = (swap(subject, sample, cutouts, same_class=one) for one in (True, False))
    on_same, on_other = (subject.predicted(one.pixels) for one in (same, other))
    right_same = without((on_same == sample.labels).double(), same.chosen < 0)
    right_other = (on_other == sample.labels).double()
    follows = (on_other == sample.labels[other.chosen]).double()
    n_third = max(1, len(subject.engine.card.labels) - 2)
    third = (1 - right_other - follows) / n_third
    return {
        "same background": right_same,
        "other background": right_other,
        "background gap": right_same - right_other,
        "follows the background": follows,
        "third class": third,
        "background - third class": follows - third,
        **_relevance_values(subject, sample, other, on_other),
    }


def _relevance_values(subject: Subject, sample: Sample, swaps: Swaps, predicted: Tensor) -> Values:
    """Where the relevance for the predicted class lies in pasted images, whose masks are exact."""
    maps = torch.from_numpy(subject.explain(swaps.pixels, predicted).relevance)
    outside = 1 - relevance_mass(maps, sample.masks).double()
    share = 1 - sample.masks.double().mean((1, 2))
    to_object = predicted == sample.labels
    to_background = predicted == sample.labels[swaps.chosen]
    return {
        "relevance outside": outside,
        "area outside": share,
        "density outside": outside / share,
        "relevance outside, object predicted": without(outside, ~to_object),
        "relevance outside, background predicted": without(outside, ~to_background),
    }


def by_class(values: Tensor, sample: Sample, labels: tuple[str, ...]) -> dict[str, float]:
    """Mean of a measure for each class that has a value."""
    means = {
        label: values[(sample.labels == index) & values.isfinite()].mean()
        for index, label in enumerate(labels)
    }
    return {label: float(mean) for label, mean in means.items() if mean.isfinite()}
