"""Epsilon and stabilizer are arguments of a call: each image of a batch has values of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from service.lrp.attribution.output_relevance import OutputRelevance
from service.lrp.explainer import Explainer
from service.lrp.passes import finish
from service.methods import COMPOSITES, Method, make_method, parse_rules
from service.models.bundles import Bundle
from service.runtime.engine import Engine
from service.runtime.jobs import ExplainJob, Explanation
from service.settings import DEFAULT_MODEL
from tests.helpers.network_input import Pixels, read_pixels
from tests.lrp.networks import make_explainer, make_images

VALUES = [1e-9, 1e-6, 1e-3, 0.01, 0.1, 1.0, 10.0, 1e3]
STABILIZED = [name for name, one in COMPOSITES.items() if one.parameters and one.conserves]


def with_epsilon(name: str, value: float, _: float) -> Method:
    return make_method(name, "gradient", {"epsilon": value})


def with_stabilizer(name: str, value: float, _: float) -> Method:
    return make_method(name, "gradient", {"stabilizer": value})


def with_both(name: str, value: float, other: float) -> Method:
    return make_method(name, "gradient", {"epsilon": value, "stabilizer": other})


def custom(_: str, value: float, other: float) -> Method:
    """Values differ between entries as well as between images."""
    entries = [
        {"layers": "features.0", "rule": "zbox", "stabilizer": other},
        {"layers": "features.3", "rule": "gamma", "stabilizer": value},
        {"layers": "features.6", "rule": "alpha_beta", "stabilizer": other},
        {"layers": "type:convolution", "rule": "zplus", "stabilizer": value},
        {"layers": "classifier.1", "rule": "epsilon", "epsilon": value},
        {"layers": "classifier.4", "rule": "wsquare", "stabilizer": other},
        {"layers": "type:dense", "rule": "epsilon", "epsilon": other},
    ]
    return make_method(parse_rules(entries), "gradient", {})


Make = Callable[[str, float, float], Method]
MAKES = [
    *((name, with_epsilon) for name in STABILIZED if name != "excitation_backprop"),
    *((name, with_stabilizer) for name in STABILIZED),
    *((name, with_both) for name in STABILIZED if name != "excitation_backprop"),
    ("custom", custom),
]


@pytest.fixture(scope="module")
def images(samples: list[Path]) -> list[Pixels]:
    return [read_pixels(path) for path in samples[: 8 * 25 : 25]]


def mixed_jobs(images: Sequence[Pixels], name: str, make: Make) -> list[ExplainJob]:
    others = [*VALUES[3:], *VALUES[:3]]
    methods = [make(name, value, other) for value, other in zip(VALUES, others, strict=True)]
    pairs = zip(images, methods, strict=True)
    return [ExplainJob(image, DEFAULT_MODEL, m, (n,)) for n, (image, m) in enumerate(pairs)]


def relevance_of(explanation: Explanation) -> np.ndarray:
    return explanation.attributions[0].relevance


@pytest.mark.parametrize(("name", "make"), MAKES, ids=lambda one: getattr(one, "__name__", one))
def test_a_batch_of_8_values_equals_the_8_alone(
    engine: Engine, images: list[Pixels], name: str, make: Make
) -> None:
    jobs = mixed_jobs(images, name, make)
    assert len({job.key for job in jobs}) == 1
    assert len({job.method.stabilizers for job in jobs}) == 8
    for job, together in zip(jobs, engine.explain(jobs), strict=True):
        (alone,) = engine.explain([job])
        limit = 1e-5 * np.abs(relevance_of(alone)).max()
        np.testing.assert_allclose(relevance_of(together), relevance_of(alone), rtol=0, atol=limit)
    first, last = (relevance_of(engine.explain([replace(jobs[0], method=m)])[0]) for m in
                   (jobs[0].method, jobs[-1].method))  # fmt: skip
    assert np.abs(first - last).max() > 1e-3 * np.abs(first).max()  # the values matter


@pytest.mark.parametrize("name", STABILIZED)
def test_values_are_exact_in_double_precision(shipped_bundle: Bundle, name: str) -> None:
    """0.1 in float32 is wrong in the ninth digit."""
    explainer = Explainer(shipped_bundle.model).to_double()
    images = make_images(1, 32, torch.float64)
    values = {
        p.name: 0.1 for p in COMPOSITES[name].parameters if p.name in ("epsilon", "stabilizer")
    }
    method, starts = make_method(name, "gradient", values), [OutputRelevance.predicted(1)]
    found = explainer.explain(images, starts, method).relevances[0]
    wanted = explainer.oracle(method).attribute(images, starts).relevances[0]
    assert float((found - wanted).abs().max() / wanted.abs().max()) < 1e-11


def test_smooth_grad_repeats_the_values_of_each_image(shipped_bundle: Bundle) -> None:
    explainer = Explainer(shipped_bundle.model).to_double()
    images = make_images(3, 32, torch.float64)
    methods = [
        make_method("epsilon_plus", "smooth_grad", {"n_samples": 5, "epsilon": value})
        for value in (1e-6, 0.5, 10.0)
    ]
    stabilizers = images.new_tensor([method.stabilizers for method in methods])
    prepared, starts = explainer.prepare(methods[0]), [OutputRelevance.predicted(3)]
    passes = explainer.explain_in_passes(prepared, images, starts, methods[0], stabilizers)
    together = finish(passes)
    for row, method in enumerate(methods):
        alone = explainer.explain(images[row : row + 1], [OutputRelevance.predicted(1)], method)
        torch.testing.assert_close(together.relevances[0][row], alone.relevances[0][0])


def test_a_sweep_over_1000_values_makes_one_twin(shipped_bundle: Bundle) -> None:
    explainer = Explainer(shipped_bundle.model)
    prepared = {
        id(explainer.prepare(make_method("epsilon_plus_flat", "gradient", {name: n / 1000})))
        for name in ("epsilon", "stabilizer")
        for n in range(1, 501)
    }
    assert len(prepared) == len(explainer._prepared) == 1


class Merged(nn.Module):
    """Merges the batch with rows: the first dimension of a layer's output is not the batch's."""

    def __init__(self) -> None:
        super().__init__()
        self.mix, self.last = nn.Linear(18, 6), nn.Linear(36, 3)

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits."""
        rows = images.transpose(1, 2).reshape(-1, 18)
        logits: Tensor = self.last(self.mix(rows).relu().reshape(-1, 36))
        return logits


class Transposed(nn.Module):
    """Has a layer without a twin rule."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.last = nn.ConvTranspose2d(3, 4, 3), nn.Linear(4 * 64, 3)

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits."""
        logits: Tensor = self.last(self.up(images).relu().flatten(1))
        return logits


def not_summed(epsilon: float) -> Method:
    """A method that does not conserve relevance, so that it is not summed by image and layer."""
    entries = [
        {"layers": "type:linear", "rule": "epsilon", "epsilon": epsilon},
        {"layers": "type:relu", "rule": "relu_deconvnet"},
    ]
    return make_method(parse_rules(entries), "gradient", {})


@pytest.mark.parametrize(("network", "engine_name"), [(Merged, "twin"), (Transposed, "zennit")])
def test_where_images_cannot_have_values_of_their_own_each_value_is_explained_by_itself(
    engine: Engine, network: type[nn.Module], engine_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    explainer = make_explainer(network(), torch.float32)
    explainer.network.describe_layers(make_images(2, 6, torch.float32))
    monkeypatch.setattr(engine, "explainer", explainer)
    pixels = [np.random.default_rng(n).integers(0, 256, (6, 6, 3), np.uint8) for n in range(4)]
    methods = [not_summed(value) for value in (0.1, 5.0, 0.1, 1.0)]
    jobs = [ExplainJob(p, DEFAULT_MODEL, m, (1,)) for p, m in zip(pixels, methods, strict=True)]
    assert explainer.prepare(methods[0]).engine == engine_name
    for job, together in zip(jobs, engine.explain(jobs), strict=True):
        (alone,) = engine.explain([job])
        limit = 1e-5 * np.abs(relevance_of(alone)).max()
        np.testing.assert_allclose(relevance_of(together), relevance_of(alone), rtol=0, atol=limit)
