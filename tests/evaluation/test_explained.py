"""Maps of many images are those that the engine makes of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from service.evaluation.candidates import default_candidate, find_candidates
from service.evaluation.explained import explain_maps
from service.evaluation.images import ImagesError, load_images
from service.methods import ATTRIBUTORS, COMPOSITES, Method
from service.models.evidence import DefaultMethod
from service.runtime.engine import Engine
from service.runtime.jobs import ExplainJob
from tests.conftest import SAMPLES


def test_maps_are_those_of_each_image_alone(engine: Engine) -> None:
    n = max(8, engine.batch_size(Method())) + 3  # one batch, which is measured, and part of another
    pixels = np.resize(load_images(SAMPLES, engine.card, 11).pixels, (n, 32, 32, 3))
    targets = np.arange(n) % 10
    done: list[int] = []

    maps = explain_maps(engine, pixels, Method(), targets, "one_hot", progress=done.append)

    assert done == [n - 3, 3]
    assert len(maps) == n
    assert maps.targets.tolist() == targets.tolist()
    assert maps.totals.tolist() == [1.0] * n
    for index in (0, n - 1):
        name, target = engine.card.name, int(targets[index])
        job = ExplainJob(pixels[index], name, Method(), (target,), start="one_hot")
        (alone,) = engine.explain([job])
        expected = alone.attributions[0].relevance.sum(0)
        assert np.abs(maps.relevance[index] - expected).max() < 1e-5 * np.abs(expected).max()
        assert maps.logits[index] == pytest.approx(alone.logits, abs=1e-4)


def test_without_targets_it_is_the_predicted_class(engine: Engine) -> None:
    images = load_images(SAMPLES, engine.card, 3)
    maps = explain_maps(engine, images.pixels, Method())
    assert maps.targets.tolist() == maps.logits.argmax(1).tolist()
    assert maps.totals == pytest.approx(maps.logits.max(1))  # the default start is the logit


def test_a_contrast_takes_the_other_class_away(engine: Engine) -> None:
    images = load_images(SAMPLES, engine.card, 2)
    targets, contrasts = np.array([3, 4]), np.array([5, 6])
    maps = explain_maps(engine, images.pixels, Method(), targets, contrasts=contrasts)
    rows = np.arange(2)
    assert maps.totals == pytest.approx(maps.logits[rows, targets] - maps.logits[rows, contrasts])


def test_layers_are_kept_where_the_method_has_them(engine: Engine) -> None:
    images = load_images(SAMPLES, engine.card, 2)
    layer = next(one.name for one in engine.layers if one.has_space and one.name != "input")
    maps = explain_maps(engine, images.pixels, Method(layers=(layer,)))
    assert maps.layers[layer].shape[0] == 2
    assert maps.subset(np.array([1])).layers[layer].shape[0] == 1


def test_every_composite_and_attributor_is_a_candidate(engine: Engine) -> None:
    candidates = find_candidates(engine)
    names = [one.name for one in candidates]
    assert len(set(names)) == len(names)
    assert names[0] == default_candidate(engine).name == "epsilon_plus_flat"
    assert {one.method.composite for one in candidates} == set(COMPOSITES)
    assert {one.method.attributor for one in candidates} == set(ATTRIBUTORS)
    for name in ("epsilon_gamma_box (one_hot)", "smooth_grad (none)", "occlusion"):
        assert name in names
    assert len(find_candidates(engine, all_starts=False)) < len(candidates)


@pytest.mark.parametrize(
    ("default", "name"),
    [
        (DefaultMethod(composite="epsilon_gamma_box"), "epsilon_gamma_box"),
        (DefaultMethod(composite="epsilon_plus", attributor="gradient"), "epsilon_plus"),
        (DefaultMethod(attributor="smooth_grad"), "smooth_grad"),
        (DefaultMethod(attributor="smooth_grad", composite="epsilon_plus_flat"), "smooth_grad"),
        (
            DefaultMethod(attributor="smooth_grad", composite="epsilon_plus"),
            "smooth_grad (epsilon_plus)",
        ),
    ],
)
def test_the_default_of_the_model_is_the_first_candidate(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, default: DefaultMethod, name: str
) -> None:
    card = engine.card.model_copy(update={"default_method": default})
    monkeypatch.setattr(engine, "card", card)
    names = [one.name for one in find_candidates(engine)]
    assert names[0] == default_candidate(engine).name == name
    assert len(set(names)) == len(names)
    assert set(names) >= {"epsilon_plus_flat", "smooth_grad", "occlusion"}


def test_images_are_taken_evenly_from_the_folders_of_classes(engine: Engine) -> None:
    images = load_images(SAMPLES, engine.card, 30)
    assert np.bincount(images.labels).tolist() == [3] * 10
    assert images.paths == load_images(SAMPLES, engine.card, 30).paths
    assert images.paths != load_images(SAMPLES, engine.card, 30, seed=1).paths
    assert len(load_images(SAMPLES, engine.card)) == 200


def test_a_file_that_is_no_image_is_left_out_and_told(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "good.jpg").write_bytes((SAMPLES / "cat" / "0000.jpg").read_bytes())
    (tmp_path / "bad.png").write_bytes(b"no picture")
    images = load_images(tmp_path, engine.card)
    assert [path.name for path in images.paths] == ["good.jpg"]
    assert images.labels.tolist() == [-1]
    assert [path.name for path, _ in images.failed] == ["bad.png"]


@pytest.mark.parametrize("content", [None, b"no picture"])
def test_a_folder_without_images_is_refused(
    engine: Engine, tmp_path: Path, content: bytes | None
) -> None:
    if content:
        (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(ImagesError, match=r"no images|none of the images"):
        load_images(tmp_path, engine.card)
    with pytest.raises(ImagesError, match="there is no folder"):
        load_images(tmp_path / "missing", engine.card)
