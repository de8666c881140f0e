"""A results analysis in pictures: predictions of each class explained, relevance by layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from service.methods import Method
from service.models.bundles import Bundle
from service.models.card import ModelCard
from service.runtime.engine import Engine
from service.runtime.jobs import ExplainJob, Explanation
from training.augment import network_input
from training.data import DataError, DataSet, Split
from training.evaluate import checked_test
from training.layers import relevance_by_layer
from training.measure import predict_logits
from training.pages import Example, draw_examples, draw_layers

RIGHT_PER_CLASS, WRONG_PER_CLASS = 2, 1
LAYER_IMAGES = 3


@dataclass(frozen=True)
class Choice:
    """Indices of the images of a class that are shown: the first right and wrong predictions."""

    label: str
    right: list[int]
    wrong: list[int]


def write_report(bundle: Bundle, data: DataSet, out: Path) -> list[Path]:
    """Write the pages of a report.

    Parameters
    ----------
    bundle : Bundle
        The network.
    data : DataSet
        Its test split is explained.
    out : Path
        Folder, created if missing.

    Returns
    -------
    list of Path
        A page `class-<label>.png` for each class, `layers-<label>.png` for a few images.

    Raises
    ------
    DataError
        The classes of the data are not the labels of the bundle, or there are no images.
    """
    split = checked_test(bundle, data)
    out.mkdir(parents=True, exist_ok=True)
    choices = list(choose_images(bundle, split))
    engine = Engine(bundle, torch.device("cpu"))
    pages = []
    for choice in choices:
        examples = explain_images(engine, split, [*choice.right, *choice.wrong])
        path = out / f"class-{choice.label}.png"
        draw_examples(choice.label, examples, path)
        pages.append(path)
    return pages + _write_layers(bundle, split, choices, out)


def choose_images(bundle: Bundle, split: Split) -> Iterator[Choice]:
    """The first right and wrong predictions of each class, in the order of the data."""
    card = bundle.card
    predicted = predict_logits(bundle.model, split, card.mean, card.std).argmax(1)
    is_right = predicted == split.labels
    for index, label in enumerate(card.labels):
        of_class = split.labels == index
        if not of_class.any():
            raise DataError(f"the data has no test image of the class {label}")
        right = (of_class & is_right).nonzero()[:RIGHT_PER_CLASS, 0].tolist()
        wrong = (of_class & ~is_right).nonzero()[:WRONG_PER_CLASS, 0].tolist()
        yield Choice(label, right, wrong)


def explain_images(engine: Engine, split: Split, indices: list[int]) -> list[Example]:
    """Explain the predicted class of images with the default method."""
    images = [_pixels(split, index) for index in indices]
    name = engine.card.name
    explanations = engine.explain([ExplainJob(pixels, name, Method()) for pixels in images])
    return [
        _example(engine.card, split, index, pixels, explanation)
        for index, pixels, explanation in zip(indices, images, explanations, strict=True)
    ]


def _example(
    card: ModelCard,
    split: Split,
    index: int,
    pixels: NDArray[np.uint8],
    explanation: Explanation,
) -> Example:
    probabilities = torch.from_numpy(explanation.logits).softmax(0)
    (found,) = explanation.attributions
    return Example(
        pixels=pixels,
        relevance=found.relevance.sum(0),
        number=index,
        true_label=card.labels[int(split.labels[index])],
        predicted_label=card.labels[found.target],
        probability=float(probabilities[found.target]),
        conservation=float(found.relevance.sum(dtype=np.float64)) / found.total,
    )


def _write_layers(bundle: Bundle, split: Split, choices: list[Choice], out: Path) -> list[Path]:
    """Draw a page for the first right prediction of each of the first `LAYER_IMAGES` classes."""
    card, pages = bundle.card, []
    for choice in [choice for choice in choices if choice.right][:LAYER_IMAGES]:
        index = choice.right[0]
        image = network_input(split.images[index : index + 1], card.mean, card.std)
        layers = relevance_by_layer(bundle.model, image, Method())
        path = out / f"layers-{choice.label}.png"
        draw_layers(choice.label, index, _pixels(split, index), layers, path)
        pages.append(path)
    return pages


def _pixels(split: Split, index: int) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = split.images[index].permute(1, 2, 0).numpy()
    return np.ascontiguousarray(pixels)
