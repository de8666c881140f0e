"""Advice on planted comparisons: the best is recommended, and nothing where nothing differs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from service.evaluation.advice import Advice, advise, try_methods
from service.evaluation.candidates import Candidate, find_candidates
from service.evaluation.comparison import compare
from service.evaluation.costs import Costs, make_plan, measure_costs
from service.evaluation.images import load_images
from service.evaluation.kept import make_evidence
from service.evaluation.perturbed import Setting
from service.evidence.baselines import BASELINES
from service.runtime.engine import Engine
from tests.conftest import SAMPLES

PRESENT = "epsilon_plus_flat"


@pytest.fixture(scope="module")
def candidates(engine: Engine) -> list[Candidate]:
    return find_candidates(engine, all_starts=False)


def advised(
    candidates: list[Candidate], best: dict[str, float], n: int = 60, present: str = PRESENT
) -> Advice:
    """Advice where all methods have the same gap but those of `best`, and baselines have none."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(n, generator=generator)

    def gaps(mean: float) -> Tensor:
        return mean + images / 5 + 0.02 * torch.randn(n, generator=generator)

    values = {one.name: gaps(best.get(one.name, 0.3)) for one in candidates}
    values |= {name: gaps(best.get(name, 0.0)) for name in BASELINES}
    return advise(compare(values), candidates, present)


def test_the_planted_best_method_is_recommended(candidates: list[Candidate]) -> None:
    advice = advised(candidates, {"epsilon_gamma_box": 0.5})
    assert advice.composite == "epsilon_gamma_box"
    assert "significantly better than epsilon_plus_flat" in advice.sentences[0]


def test_without_a_difference_the_present_one_stays(candidates: list[Candidate]) -> None:
    advice = advised(candidates, {})
    assert advice.composite == PRESENT
    assert "no significant difference" in advice.sentences[0]


def test_a_tie_for_the_best_place_keeps_the_present_one(candidates: list[Candidate]) -> None:
    advice = advised(candidates, {"epsilon_plus": 0.501, PRESENT: 0.5})
    assert advice.composite == PRESENT
    assert any("Not significantly different from it: epsilon_plus." in s for s in advice.sentences)


def test_a_dear_attributor_is_told_but_not_set(candidates: list[Candidate]) -> None:
    advice = advised(candidates, {"occlusion": 0.6, "epsilon_plus": 0.5})
    assert advice.composite == "epsilon_plus"
    assert any("attributor=occlusion" in sentence for sentence in advice.sentences)


def test_an_attributor_that_is_the_default_is_not_given_up_for_a_worse_composite(
    candidates: list[Candidate],
) -> None:
    kept = advised(candidates, {"smooth_grad": 0.6, PRESENT: 0.5}, present="smooth_grad")
    assert kept.composite is None
    assert kept.sentences == (
        "No composite is significantly better than smooth_grad, the model's default now: keep it.",
    )
    changed = advised(candidates, {"smooth_grad": 0.4, PRESENT: 0.5}, present="smooth_grad")
    assert changed.composite == PRESENT
    assert "significantly better than smooth_grad" in changed.sentences[0]


def test_a_baseline_that_does_as_well_is_told(candidates: list[Candidate]) -> None:
    advice = advised(candidates, {"epsilon_plus": 0.5, "edges": 0.5})
    assert any("better than edges, which knows nothing" in s for s in advice.sentences)


def test_nothing_is_recommended_that_is_not_better_than_random(
    candidates: list[Candidate],
) -> None:
    advice = advised(candidates, {"random": 0.5})
    assert advice.composite is None
    assert "random map" in advice.sentences[0]


def test_a_plan_takes_fewer_images_and_then_fewer_methods(candidates: list[Candidate]) -> None:
    costs = Costs(0.01, {one.name: 0.01 for one in candidates} | {"smooth_grad": 1.0})
    whole = make_plan(candidates, costs, 200, 600)
    fewer = make_plan(candidates, costs, 200, 100)
    without = make_plan(candidates, costs, 200, 30)
    assert (whole.n_images, whole.left_out) == (200, ())
    assert 50 < fewer.n_images < 100
    assert not fewer.left_out
    assert [one.name for one in without.left_out] == ["smooth_grad"]
    assert all(plan.seconds <= limit for plan, limit in ((whole, 600), (fewer, 100), (without, 30)))
    assert make_plan(candidates, costs, 12, 0.1).candidates == (candidates[0],)


def test_methods_are_tried_on_the_shipped_network(
    engine: Engine, candidates: list[Candidate]
) -> None:
    names = ("epsilon_plus_flat", "deconvnet")
    chosen = [one for one in candidates if one.name in names]
    images = load_images(SAMPLES, engine.card, 16)
    setting = Setting(8, "blur", (0.25, 0.5))
    costs = measure_costs(engine, images.pixels[:2], chosen, setting)
    told: list[str] = []

    plan = make_plan(chosen, costs, len(images), 600)
    trial = try_methods(engine, images.pixels, plan, setting, lambda name, s: told.append(name))

    assert told == [*names, *BASELINES]
    assert trial.comparison.is_better("epsilon_plus_flat", "random")
    assert trial.comparison.is_better("epsilon_plus_flat", "deconvnet")
    evidence = make_evidence(engine, trial, "samples", 0)
    assert evidence.methods["epsilon_plus_flat"]["gap"].n == 16
    assert next(iter(evidence.methods)) == evidence.best[0] == trial.comparison.names[0]
    gaps = [score["gap"].mean for score in evidence.methods.values()]
    assert gaps == sorted(gaps, reverse=True)
    assert np.isclose(
        evidence.methods["random"]["insertion"].mean - evidence.methods["random"]["deletion"].mean,
        evidence.methods["random"]["gap"].mean,
        atol=2e-4,
    )
