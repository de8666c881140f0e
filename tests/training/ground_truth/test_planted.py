"""The relevance of planted networks equals what can be written down, and lies where they look."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from service.evaluation.candidates import find_candidates
from service.evaluation.explained import explain_maps
from service.lrp.attribution.output_relevance import OutputRelevance
from service.lrp.explainer import Explainer
from service.methods import COMPOSITES, make_method
from service.models.normalization import normalize
from service.runtime.engine import Engine
from tests.training.ground_truth.closed_forms import GRADIENTS, HIGH, LOW, RULES, relevance
from training.ground_truth.planted import (
    PLANTED,
    ask_corner,
    ask_detector,
    detector,
    planted_bundle,
    random_patch_network,
)
from training.ground_truth.scenes import SIZE

CPU = torch.device("cpu")
MEAN, STD = [0.5] * 3, [0.25] * 3


def inputs(n: int) -> torch.Tensor:
    return normalize(torch.from_numpy(ask_corner(0, n)[0]), MEAN, STD).double()


def explain(
    network: nn.Module, images: torch.Tensor, targets: list[int], composite: str, is_logit: bool
) -> NDArray[np.float64]:
    """Relevance in double precision, shape (N, 3, SIZE, SIZE)."""
    bounds = (torch.full((1, 3, 1, 1), side, dtype=torch.float64) for side in (LOW, HIGH))
    explainer = Explainer(network.double(), tuple(bounds))  # type: ignore[arg-type]
    start = OutputRelevance(
        torch.tensor(targets),
        torch.full((len(targets),), -1),
        torch.tensor(is_logit).expand(len(targets)),
    )
    result = explainer.explain(images, [start], make_method(composite, "gradient", {}))
    return result.relevances[0].numpy()


def test_every_composite_has_a_closed_form() -> None:
    assert {*RULES, *GRADIENTS} == set(COMPOSITES)


@pytest.mark.parametrize("is_logit", [False, True], ids=["one_hot", "logit"])
@pytest.mark.parametrize("composite", list(COMPOSITES))
def test_relevance_equals_the_closed_form(composite: str, is_logit: bool) -> None:
    network, images, targets = random_patch_network(1), inputs(4), [0, 1, 2, 4]
    found = explain(network, images, targets, composite, is_logit)
    for image, target, one in zip(images.numpy(), targets, found, strict=True):
        expected = relevance(network, image, target, composite, is_logit=is_logit)
        np.testing.assert_allclose(one, expected, rtol=1e-7, atol=1e-9 * np.abs(expected).max())


def test_the_closed_form_of_one_composite_is_not_that_of_another() -> None:
    network, images = random_patch_network(1), inputs(1)
    (found,) = explain(network, images, [0], "epsilon_plus", False)
    for composite in set(COMPOSITES) - {"epsilon_plus"}:
        other = relevance(network, images.numpy()[0], 0, composite, is_logit=False)
        assert np.abs(found - other).max() > 1e-3 * np.abs(found).max()


def test_epsilon_on_a_linear_network_is_weight_times_input() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIZE**2, 5, bias=False)).requires_grad_(
        False
    )
    images = inputs(2)
    found = explain(network.eval(), images, [3, 1], "epsilon_plus", is_logit=True)
    linear = network[1]
    assert isinstance(linear, nn.Linear)
    weight = linear.weight.view(5, 3, SIZE, SIZE)[[3, 1]]
    np.testing.assert_allclose(found, (weight * images).numpy(), rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize("attributor", ["smooth_grad", "integrated_gradients", "occlusion"])
def test_attributors_of_a_linear_network_are_known(attributor: str) -> None:
    engine = Engine(planted_bundle("linear", 0), CPU)
    pixels, _ = ask_corner(0, 3)
    given = {"window": 4, "stride": 4} if attributor == "occlusion" else {}
    composite = "none" if attributor == "smooth_grad" else None
    method = make_method(composite, attributor, given)
    targets = np.array([0, 3, 2])
    maps = explain_maps(engine, pixels, method, targets, "one_hot")
    weight = planted_bundle("linear", 0).model[1].weight.view(5, 3, SIZE, SIZE)[targets]  # type: ignore[index]
    product = (weight * normalize(torch.from_numpy(pixels), MEAN, STD)).sum(1)
    squares = 16 * nn.functional.avg_pool2d(product[:, None], 4)  # the sum of each
    expected = {
        "smooth_grad": weight.sum(1),
        "integrated_gradients": product,
        "occlusion": squares.repeat_interleave(4, 2).repeat_interleave(4, 3)[:, 0],
    }[attributor].numpy()
    np.testing.assert_allclose(
        maps.relevance, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max()
    )


@pytest.mark.parametrize("name", list(PLANTED))
def test_hiding_what_is_not_looked_at_changes_no_logit(name: str) -> None:
    engine = Engine(planted_bundle(name, 0), CPU)
    pixels, questions = PLANTED[name][1](0, 20)
    kept = questions[0].positive
    if questions[-1].negative is not None:
        kept = kept | questions[-1].negative
    noise = np.random.default_rng(9).integers(110, 146, pixels.shape).astype(np.uint8)
    changed = np.where(kept[..., None], pixels, noise)
    before, after = (
        np.stack([p.logits for p in engine.predict(list(x))]) for x in (pixels, changed)
    )
    np.testing.assert_allclose(before, after, atol=1e-5)
    gone = np.stack([p.logits for p in engine.predict(list(noise))])
    assert np.abs(before - gone).max() > 0.01


def scores(name: str) -> dict[str, float]:
    """Mass inside of where the network looks, by method."""
    engine = Engine(planted_bundle(name, 0), CPU)
    pixels, (question, *_) = PLANTED[name][1](0, 8)
    return {
        candidate.name: float(
            np.mean(
                question.score(
                    explain_maps(
                        *(engine, pixels, candidate.method, question.targets, candidate.start)
                    ).relevance
                )["mass"]
            )
        )
        for candidate in find_candidates(engine, all_starts=False)
        if candidate.method.attributor == "gradient"
    }


def test_every_composite_stays_inside_of_the_corner_that_is_read() -> None:
    assert min(scores("corner").values()) > 0.999


def test_a_flat_first_layer_says_nothing_where_it_sees_the_whole_image() -> None:
    found = scores("linear")
    share = (8 / SIZE) ** 2
    flat = {name for name in found if name.endswith("flat")}
    assert all(found[name] == pytest.approx(share, abs=1e-3) for name in flat)
    assert min(found[name] for name in set(found) - flat - {"epsilon_gamma_box"}) > 0.999


def test_a_detector_is_explained_by_its_pattern_but_for_deconvnet() -> None:
    found = scores("detector")
    assert found.pop("deconvnet") < 0.1  # it does not depend on the image here
    assert found.pop("beta_smooth") < 0.9  # neither does what it makes of an inactive ReLU vanish
    assert min(found.values()) > 0.999


def test_the_detector_gives_both_patterns_the_same_logit_and_the_others_none() -> None:
    pixels, (question, contrast) = ask_detector(0, 30)
    engine = Engine(planted_bundle("detector", 0), CPU)
    logits = np.stack([one.logits for one in engine.predict(list(pixels))])
    assert contrast.contrasts is not None
    of_first = np.take_along_axis(logits, question.targets[:, None], 1)
    of_second = np.take_along_axis(logits, contrast.contrasts[:, None], 1)
    np.testing.assert_allclose(of_first, of_second, rtol=0.05)
    assert ((logits > 0).sum(1) == 2).all()


def test_patterns_differ_so_that_each_excites_its_own_feature_only() -> None:
    network = detector(0)
    pixels, _ = ask_detector(0, 30)
    found = network.features(normalize(torch.from_numpy(pixels), MEAN, STD))
    assert (found.flatten(2) > 0).sum((1, 2)).eq(2).all()
