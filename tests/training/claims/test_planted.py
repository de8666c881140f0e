"""Networks that by construction look at one thing only: the verdicts are known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from service.evidence.baselines import BASELINES
from service.models.card import ModelCard
from tests.training.claims.planted import (
    bundle_of,
    planted_sample,
    reads_backgrounds,
    reads_objects,
)
from training.claims.backgrounds import background_values
from training.claims.focus import Parts, pixels_of_half, share_inside
from training.claims.measured import measure
from training.claims.rules import BACKGROUND, FOCUS
from training.claims.sample import Sample
from training.claims.subject import Subject, untrained
from training.claims.values import Intervals, summarize
from training.claims.verdicts import Verdict, judge


@pytest.fixture(scope="module")
def sample() -> Sample:
    return planted_sample()


@pytest.fixture(scope="module")
def of_objects(card: ModelCard, sample: Sample) -> Intervals:
    return summarize(measure(bundle_of(reads_objects(), card), sample))


@pytest.fixture(scope="module")
def of_backgrounds(card: ModelCard, sample: Sample) -> Intervals:
    return summarize(measure(bundle_of(reads_backgrounds(), card), sample))


def states(verdict: Verdict) -> dict[str, str]:
    return {one.condition.measure: one.state for one in verdict.outcomes}


def test_a_network_that_reads_a_part_of_the_object_focuses_on_it(of_objects: Intervals) -> None:
    assert judge(FOCUS, [of_objects]).word == "confirmed", states(judge(FOCUS, [of_objects]))
    assert of_objects["mass"].mean == pytest.approx(1)


def test_a_network_that_reads_objects_ignores_the_background(of_objects: Intervals) -> None:
    verdict = judge(BACKGROUND, [of_objects])
    assert verdict.word == "confirmed", states(verdict)
    assert of_objects["whole image"].mean == of_objects["other background"].mean == 1


def test_an_average_of_the_whole_image_is_no_layer_with_places(card: ModelCard) -> None:
    assert Subject.of(bundle_of(reads_objects(), card)).spatial_layers() == ("look",)


def test_a_network_that_reads_backgrounds_does_neither(of_backgrounds: Intervals) -> None:
    focus, background = (judge(claim, [of_backgrounds]) for claim in (FOCUS, BACKGROUND))
    assert (focus.word, background.word) == ("refuted", "refuted")
    assert states(focus)["mass - area"] == "fails"
    refuting = ("background - outline", "background gap", "background - third class")
    assert [states(background)[one] for one in refuting] == ["fails"] * 3
    assert of_backgrounds["follows the background"].mean == 1
    assert of_backgrounds["relevance outside"].mean == pytest.approx(1)


def test_different_networks_together_decide_nothing(
    of_objects: Intervals, of_backgrounds: Intervals
) -> None:
    verdict = judge(BACKGROUND, [of_objects, of_backgrounds])
    assert verdict.word == "not decidable with this data"


def centred_sample(n: int = 40) -> tuple[Tensor, Tensor]:
    """Images of noise with masks around their middle, which differ a little."""
    generator = torch.Generator().manual_seed(3)
    images = torch.randn(n, 3, 32, 32, generator=generator)
    masks = torch.zeros(n, 32, 32, dtype=torch.bool)
    for mask, shift in zip(masks, torch.randint(-3, 4, (n, 2), generator=generator), strict=True):
        top, left = (8 + shift).tolist()
        mask[top : top + 16, left : left + 16] = True
    return images, masks


@pytest.mark.parametrize("control", ["random", "edges", "gaussian", "untrained"])
def test_relevance_that_is_no_better_than_a_control_is_not_confirmed(control: str) -> None:
    images, masks = centred_sample()
    other = torch.rand(len(images), 32, 32, generator=torch.Generator().manual_seed(4))
    maps = other if control == "untrained" else BASELINES[control](images)
    found = summarize(share_inside(maps, masks, images, other))
    assert states(judge(FOCUS, [found]))[f"mass - {control}"] == "open"


def test_relevance_that_is_always_in_the_middle_is_not_confirmed() -> None:
    images, masks = centred_sample()
    narrow = BASELINES["gaussian"](images) ** 8
    found = summarize(share_inside(narrow, masks, images, BASELINES["random"](images)))
    after = states(judge(FOCUS, [found]))
    assert after["mass - area"] == after["mass - gaussian"] == "holds"  # by being concentrated
    assert after["mass - another image"] == after["half - gaussian"] == "open"


def test_relevance_on_the_object_itself_passes_every_control() -> None:
    images, masks = centred_sample()
    noise = torch.rand(len(images), 32, 32, generator=torch.Generator().manual_seed(4))
    found = summarize(share_inside(masks * (1 + noise), masks, images, noise))
    after = states(judge(FOCUS, [found]))
    inside = [name for name in after if name.startswith(("mass", "half"))]
    assert [after[name] for name in inside] == ["holds"] * len(inside)


def test_pixels_that_carry_half_of_the_relevance() -> None:
    maps = torch.tensor([[[5.0, 2.0], [2.0, 1.0]], [[1.0, 1.0], [1.0, 1.0]], [[3, -9], [0, 0]]])
    assert pixels_of_half(maps).tolist() == [1, 2, 1]


def parts_of(card: ModelCard, sample: Sample) -> tuple[Parts, Tensor]:
    subject = Subject.of(bundle_of(reads_objects(), card))
    images = subject.normalize(sample.pixels)
    relevance = torch.from_numpy(subject.explain(sample.pixels).relevance)
    return Parts(subject.logits, images, sample.labels, sample.masks), relevance


def test_only_patches_of_the_object_are_hidden_a_quarter_of_them(
    card: ModelCard, sample: Sample
) -> None:
    parts, _ = parts_of(card, sample)
    order = torch.arange(64).expand(len(sample), 64)
    changed = (parts.hide(order, "mean") != parts.images).any(1)
    share = (changed & sample.masks).sum((1, 2)) / sample.masks.sum((1, 2))
    assert (share - 0.25).abs().max() < 0.13  # patches do not fit the object
    outside = changed & ~sample.masks
    assert outside.sum() < 0.5 * changed.sum()


def test_a_random_order_in_place_of_relevance_finds_no_distinctive_parts(
    card: ModelCard, sample: Sample
) -> None:
    parts, relevance = parts_of(card, sample)
    noise = torch.rand(relevance.shape, generator=torch.Generator().manual_seed(5))
    found = {name: summarize(parts.values(maps)) for name, maps in
             (("relevance", relevance), ("noise", noise))}  # fmt: skip
    after = {name: states(judge(FOCUS, [one]))["reddest - random"] for name, one in found.items()}
    assert after == {"relevance": "holds", "noise": "fails"}


def test_objects_that_are_not_removed_look_like_a_background_that_is_used(
    card: ModelCard, sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    unchanged = staticmethod(lambda images, hidden: images)
    monkeypatch.setattr("training.claims.pasting.Cutouts._without", unchanged)
    subject = Subject.of(bundle_of(reads_objects(), card))
    found = summarize(background_values(subject, sample))
    assert judge(BACKGROUND, [found]).word == "refuted"


def test_the_untrained_network_is_another_one(card: ModelCard) -> None:
    bundle = bundle_of(reads_objects(), card)
    before = {name: one.clone() for name, one in bundle.model.state_dict().items()}
    first, second = untrained(bundle), untrained(bundle)
    for name, weights in bundle.model.state_dict().items():
        assert torch.equal(weights, before[name])
        assert not torch.equal(weights, first.model.state_dict()[name])
        assert torch.equal(first.model.state_dict()[name], second.model.state_dict()[name])
