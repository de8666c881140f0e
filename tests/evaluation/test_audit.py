"""An audit finds a mark that a network decides by, and none where it decides by the object."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.evaluation.audit import audit as audit_module
from service.evaluation.audit import probes
from service.evaluation.audit.audit import (
    THRESHOLD,
    Audit,
    AuditOptions,
    StepFn,
    audit_images,
)
from service.evaluation.audit.probes import REGION
from service.evaluation.audit.traces import separation
from service.evaluation.explained import Maps, explain_maps
from service.evaluation.images import ImagesError, ImageSet
from service.runtime.engine import Engine
from tests.evaluation.planted import make_images, train_engine

N = 60  # of a class
SHARE = 0.4
MARKED = np.arange(round(SHARE * N))
OPTIONS = AuditOptions(n_others=60)


def image_set(share: float, n: int = N) -> ImageSet:
    pixels, labels = make_images(n, 2, share)
    return ImageSet(pixels, labels, tuple(Path(f"{index}.png") for index in range(len(labels))))


def audit(engine: Engine, share: float, on_step: StepFn = lambda _name, _share: None) -> Audit:
    return audit_images(engine, image_set(share), OPTIONS, on_step)


@pytest.fixture(scope="module")
def marked_engine() -> Engine:
    """A network that learned half of its bars with a mark."""
    return train_engine(*make_images(600, 1, 0.5))


@pytest.fixture(scope="module")
def clean_engine() -> Engine:
    """A network that has never seen the mark."""
    return train_engine(*make_images(600, 1))


@pytest.fixture(scope="module")
def found(marked_engine: Engine) -> Audit:
    return audit(marked_engine, SHARE)


def test_a_planted_mark_is_the_most_suspicious(found: Audit) -> None:
    first = found.clusters[0]
    assert (first.label, first.findings[0].kind) == (0, REGION)
    assert first.score > 0.5
    assert np.isin(first.members, MARKED).mean() > 0.9
    corner = np.zeros_like(first.region)
    corner[-5:, :5] = True
    assert first.region[-2:, :2].all()
    assert not first.region[~corner].any()


def test_nothing_but_the_planted_mark_is_suspicious(found: Audit) -> None:
    assert {cluster.label for cluster in found.suspicious} == {0}
    for cluster in found.suspicious:
        assert np.isin(cluster.members, MARKED).mean() > 0.5


def test_what_is_found_is_what_the_network_does(found: Audit) -> None:
    finding = found.clusters[0].findings[0]
    assert finding.presence > 0.9
    assert finding.flips > 0.6
    assert finding.control < 0.1
    assert finding.drop > finding.control_drop


def test_without_the_mark_nothing_is_suspicious(marked_engine: Engine) -> None:
    assert not audit(marked_engine, 0.0).suspicious


def test_a_mark_that_the_network_does_not_use_is_not_suspicious(clean_engine: Engine) -> None:
    clean = audit(clean_engine, SHARE)
    assert not clean.suspicious
    assert clean.clusters[0].score < THRESHOLD


def share_in_pure_clusters(found: Audit) -> float:
    """Part of the marked images that are in a cluster with hardly any other."""
    pure = [one.members for one in found.clusters if np.isin(one.members, MARKED).mean() > 0.9]
    return float(np.isin(MARKED, np.concatenate([[], *pure])).mean())


def test_maps_of_other_images_do_not_gather_the_marked(
    marked_engine: Engine, found: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: without the right maps, clusters are random parts of a class."""

    def explain_wrongly(*args: Any, **options: Any) -> Maps:
        maps = explain_maps(*args, **options)
        order = np.random.default_rng(0).permutation(len(maps))
        layers = {name: values[order] for name, values in maps.layers.items()}
        return replace(maps, relevance=maps.relevance[order], layers=layers)

    assert share_in_pure_clusters(found) > 0.7
    monkeypatch.setattr(audit_module, "explain_maps", explain_wrongly)
    assert share_in_pure_clusters(audit(marked_engine, SHARE)) < 0.3


def test_a_score_without_the_intervention_finds_nothing(
    marked_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: the clusters are the same, but nothing is put into other images."""
    monkeypatch.setattr(probes, "_paste", lambda pixels, content, region: pixels)
    assert not audit(marked_engine, SHARE).suspicious


def test_the_same_seed_gives_the_same_audit(marked_engine: Engine, found: Audit) -> None:
    again = audit(marked_engine, SHARE)
    assert [one.score for one in again.clusters] == [one.score for one in found.clusters]


def test_images_without_a_class_are_of_the_predicted_one(marked_engine: Engine) -> None:
    images = image_set(SHARE)
    unlabelled = replace(images, labels=np.full(len(images), -1))
    result = audit_images(marked_engine, unlabelled, OPTIONS)
    assert np.array_equal(result.maps.targets, result.maps.logits.argmax(1))
    best = next(one for one in result.clusters if one.label == 0)
    assert best.is_suspicious
    assert np.isin(best.members, MARKED).mean() > 0.9


def test_progress_goes_from_nothing_to_all(marked_engine: Engine) -> None:
    steps: list[tuple[str, float]] = []
    audit(marked_engine, SHARE, lambda name, share: steps.append((name, share)))
    for name in ("relevance", "clusters"):
        shares = [share for step, share in steps if step == name]
        assert shares == sorted(shares)
        assert shares[-1] == 1.0


def test_too_few_images_are_an_error(marked_engine: Engine) -> None:
    with pytest.raises(ImagesError, match="no class has 20 images or more: the largest has 5"):
        audit_images(marked_engine, image_set(0.0, 5), OPTIONS)


def test_one_class_is_an_error(marked_engine: Engine) -> None:
    images = image_set(0.0)
    with pytest.raises(ImagesError, match="all images are of one class"):
        audit_images(marked_engine, images.subset(np.arange(N)), OPTIONS)


def test_separation_is_bounded_by_the_size_of_the_groups() -> None:
    few, many = np.arange(8.0), np.arange(400.0) / 50
    assert separation(few + 10, few) == 1.0
    assert separation(few, few) == 0.0
    assert separation(few + 2, few) < separation(many + 2, many) < 1 - 2 * (6 / 8) ** 2 / 2 + 0.01
