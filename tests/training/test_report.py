"""The report's pages, on the samples and the shipped network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from service.models.bundles import Bundle
from service.runtime.engine import Engine
from training.data import DataError, DataSet
from training.report import choose_images, explain_images, write_report


def test_two_right_and_one_wrong_image_of_each_class_are_chosen(
    shipped_bundle: Bundle, engine: Engine, samples: list[Path], sample_data: DataSet
) -> None:
    for choice in choose_images(shipped_bundle, sample_data.test):
        assert len(choice.right) == 2
        assert len(choice.wrong) <= 1
        for index in [*choice.right, *choice.wrong]:
            assert samples[index].parent.name == choice.label
            logits = engine.predict([np.asarray(Image.open(samples[index]))])[0].logits
            is_right = shipped_bundle.card.labels[logits.argmax()] == choice.label
            assert is_right == (index in choice.right)


def test_examples_show_the_image_and_its_explanation(
    engine: Engine, samples: list[Path], sample_data: DataSet
) -> None:
    (example,) = explain_images(engine, sample_data.test, [7])
    assert (example.pixels == np.asarray(Image.open(samples[7]))).all()
    assert example.true_label == samples[7].parent.name
    assert 0.1 < example.probability <= 1
    logit = float(engine.predict([example.pixels])[0].logits.max())
    assert example.conservation * logit == pytest.approx(float(example.relevance.sum()), rel=1e-4)


def test_a_page_for_each_class_and_for_the_layers_of_a_few_images(
    shipped_bundle: Bundle, sample_data: DataSet, tmp_path: Path
) -> None:
    pages = write_report(shipped_bundle, sample_data, tmp_path / "report")
    names = {page.name for page in pages}
    assert {f"class-{label}.png" for label in shipped_bundle.card.labels} < names
    assert sum(name.startswith("layers-") for name in names) == 3
    for page in pages:
        with Image.open(page) as picture:
            colours = picture.convert("RGB").getcolors(maxcolors=picture.width * picture.height)
        assert colours is not None
        assert len(colours) > 500


def test_a_class_without_images_is_an_error(
    shipped_bundle: Bundle, sample_data: DataSet, tmp_path: Path
) -> None:
    only = sample_data.test.subset(torch.arange(40))
    data = DataSet(only, only, shipped_bundle.card.labels, "two classes")
    with pytest.raises(DataError, match="no test image of the class"):
        write_report(shipped_bundle, data, tmp_path)
