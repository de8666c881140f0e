"""Artefacts, where they are planted, and the counting of what an audit finds."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from training.clever_hans.artefacts import ARTEFACTS, TAG_COLOR
from training.clever_hans.calibration import Rate, calibrate, separating_thresholds
from training.clever_hans.claim import judge_claim
from training.clever_hans.experiment import Verdict, first_of_each_class
from training.clever_hans.planting import Plant, assign_plants, plant
from training.data import Split


@pytest.fixture(scope="module")
def split() -> Split:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (40, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return Split(images, torch.arange(40) % 4)


@pytest.mark.parametrize("name", ARTEFACTS)
def test_an_artefact_changes_every_image_and_leaves_the_input(name: str, split: Split) -> None:
    before = split.images.clone()
    changed = ARTEFACTS[name](split.images)
    assert torch.equal(split.images, before)
    assert changed.shape == before.shape
    assert changed.dtype == torch.uint8
    assert (changed != before).any((1, 2, 3)).all()


def test_tag_and_border_change_only_their_place(split: Split) -> None:
    tagged, framed = (ARTEFACTS[name](split.images) != split.images for name in ("tag", "border"))
    assert not tagged[:, :, :28].any()
    assert not tagged[:, :, :, 4:].any()
    assert not framed[:, :, 1:-1, 1:-1].any()
    assert tuple(ARTEFACTS["tag"](split.images)[0, :, -1, 0].tolist()) == TAG_COLOR


def test_a_share_of_one_class_is_planted(split: Split) -> None:
    changed, planted = plant(split, [Plant("tag", 2, 0.3)], seed=1)
    assert planted.sum() == 3
    assert (split.labels[planted] == 2).all()
    assert torch.equal((changed.images != split.images).any((1, 2, 3)), planted)
    assert torch.equal(changed.labels, split.labels)


def test_the_seed_decides_which_images(split: Split) -> None:
    first, again, other = (plant(split, [Plant("tag", 2, 0.5)], seed)[1] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_artefacts_are_in_classes_of_their_own() -> None:
    used = set()
    for seed in range(3):
        labels = [one.label for one in assign_plants(seed, 10, 0.5)]
        assert len(set(labels)) == len(ARTEFACTS)
        used |= set(labels)
    assert used == set(range(10))


def test_the_first_images_of_each_class_are_taken(split: Split) -> None:
    few = first_of_each_class(split, 2)
    assert few.labels.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert torch.equal(few.images, split.images[:8])


def verdict(score: float, *, relies: bool, planted_share: float = 1.0) -> Verdict:
    artefact = "tag" if relies else ""
    return Verdict("net", 0, artefact, relies, score, "region", planted_share if relies else 0.0)


VERDICTS = (
    verdict(0.9, relies=True),
    verdict(0.8, relies=True, planted_share=0.2),  # a cluster of other images: no merit
    verdict(0.1, relies=True),
    verdict(0.6, relies=False),
    verdict(0.2, relies=False),
)


def test_precision_and_recall_are_counted() -> None:
    counted = calibrate(VERDICTS, 0.5)
    assert (counted.precision.hits, counted.precision.n) == (1, 3)
    assert (counted.recall.hits, counted.recall.n) == (1, 3)
    assert separating_thresholds(VERDICTS) == (0.6, 0.1)


def test_intervals_are_wilson_s() -> None:
    low, high = Rate(8, 10).interval
    assert (round(low, 4), round(high, 4)) == (0.4902, 0.9433)
    assert Rate(10, 10).interval == pytest.approx((0.7225, 1.0), abs=1e-4)
    assert Rate(0, 0).interval == (0.0, 1.0)


def experiment(clean_score: float, low: float, n_planted: int = 3) -> dict[str, Any]:
    rate = {"hits": 9, "n": 10, "share": 0.9, "interval": (low, 0.99)}
    clean = {"reliance": [], "verdicts": [{"score": 0.05}, {"score": clean_score}]}
    planted = {"reliance": [{}], "verdicts": [{"score": 0.9}]}
    networks = [clean, *[planted] * n_planted]
    return {"threshold": 0.2, "precision": rate, "recall": rate, "networks": networks}


@pytest.mark.parametrize(
    ("clean_score", "low", "verdict"),
    [
        (0.1, 0.6, "confirmed"),
        (0.3, 0.6, "refuted"),
        (0.1, 0.4, "not decidable with this data"),  # who finds little may well find nothing
    ],
)
def test_the_claim_is_judged_by_what_the_audit_can_find(
    clean_score: float, low: float, verdict: str
) -> None:
    claim = judge_claim(experiment(clean_score, low))
    assert (claim["number"], claim["verdict"], claim["n_networks"]) == (4, verdict, 1)
    assert f"highest score is {clean_score:.2f}" in claim["reasons"][0]
    assert "9 of 10" in claim["reasons"][1]


def test_two_planted_networks_are_too_few() -> None:
    assert judge_claim(experiment(0.1, 0.6, 2))["verdict"] == "not decidable with this data"


def test_without_a_clean_network_the_claim_is_open() -> None:
    result = experiment(0.1, 0.6)
    claim = judge_claim({**result, "networks": result["networks"][1:]})
    assert claim["verdict"] == "not decidable with this data"
