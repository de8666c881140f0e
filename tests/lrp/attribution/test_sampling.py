"""SmoothGrad, integrated gradients, occlusion: zennit's at batch 1, a plain loop, and theory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from zennit import attribution

from service.lrp.attribution.output_relevance import OutputRelevance
from service.lrp.explainer import Explainer
from service.methods import COMPOSITES, Method, Value, make_method
from service.models.bundles import Bundle
from tests.helpers.network_input import read_pixels
from tests.lrp.reference import normalized, reference_model, zennit_composite

OURS: dict[str, dict[str, Value]] = {
    "smooth_grad": {"n_samples": 4, "noise_level": 0.2, "seed": 3},
    "integrated_gradients": {"n_steps": 5},
    "occlusion": {"window": 8, "stride": 4},
}


@pytest.fixture(scope="module")
def images(samples: list[Path], shipped_bundle: Bundle) -> Tensor:
    return normalized([read_pixels(path) for path in samples[::40]], shipped_bundle).double()


@pytest.fixture(scope="module")
def explainer(images: Tensor, shipped_bundle: Bundle) -> Explainer:
    mean, std = (
        torch.tensor(values).view(1, 3, 1, 1)
        for values in (shipped_bundle.card.mean, shipped_bundle.card.std)
    )
    box = (((0 - mean) / std).double(), ((1 - mean) / std).double())
    return Explainer(reference_model().double(), box)


def fixed(target: int, contrast: int = -1, *, is_logit: bool = False) -> OutputRelevance:
    return OutputRelevance(
        torch.tensor([target]), torch.tensor([contrast]), torch.tensor([is_logit])
    )


def relevance_of(
    explainer: Explainer, images: Tensor, start: OutputRelevance, method: Method
) -> Tensor:
    return explainer.explain(images, [start], method).relevances[0]


def assert_same(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-9 * float(wanted.abs().max()))


@pytest.mark.parametrize("composite", COMPOSITES)
@pytest.mark.parametrize("start", [fixed(4), fixed(2, 5), fixed(4, is_logit=True)], ids=str)
def test_smooth_grad_equals_zennits_at_batch_1(
    explainer: Explainer,
    images: Tensor,
    shipped_bundle: Bundle,
    composite: str,
    start: OutputRelevance,
) -> None:
    method = make_method(composite, "smooth_grad", OURS["smooth_grad"])
    plain = make_method(composite, "gradient", {})
    attributor = attribution.SmoothGrad(
        reference_model().double(),
        zennit_composite(plain, shipped_bundle),
        n_iter=4,
        noise_level=0.2,
    )
    torch.manual_seed(3)
    _, wanted = attributor(images[:1], start.relevance)
    assert_same(relevance_of(explainer, images[:1], start, method), wanted)


@pytest.mark.parametrize("start", [fixed(4), fixed(2, 5)], ids=str)
@pytest.mark.parametrize("baseline", ["mean", "black", "white"])
def test_integrated_gradients_equal_zennits_at_batch_1(
    explainer: Explainer,
    images: Tensor,
    shipped_bundle: Bundle,
    start: OutputRelevance,
    baseline: str,
) -> None:
    method = make_method(None, "integrated_gradients", {"n_steps": 5, "baseline": baseline})
    attributor = attribution.IntegratedGradients(
        reference_model().double(), n_iter=5, baseline_fn=baseline_of(baseline, shipped_bundle)
    )
    _, wanted = attributor(images[:1], start.relevance)
    assert_same(relevance_of(explainer, images[:1], start, method), wanted)


def baseline_of(name: str, bundle: Bundle) -> Callable[[Tensor], Tensor]:
    value = {"mean": bundle.card.mean, "black": (0, 0, 0), "white": (1, 1, 1)}[name]
    mean, std = torch.tensor(bundle.card.mean), torch.tensor(bundle.card.std)
    filled = ((torch.tensor(value) - mean) / std).double().view(1, 3, 1, 1)
    return filled.expand_as


@pytest.mark.parametrize("start", [fixed(4), fixed(2, 5)], ids=str)
@pytest.mark.parametrize(("window", "stride"), [(8, 4), (8, 8), (9, 5), (32, 32)])
def test_occlusion_equals_a_plain_loop(
    explainer: Explainer, images: Tensor, start: OutputRelevance, window: int, stride: int
) -> None:
    method = make_method(None, "occlusion", {"window": window, "stride": stride})
    model, image = reference_model().double(), images[:1]
    falls, counts = torch.zeros(32, 32).double(), torch.zeros(32, 32).double()
    for top in range(0, 32, stride):
        for left in range(0, 32, stride):
            rows, columns = slice(top, top + window), slice(left, left + window)
            hidden = image.clone()
            hidden[:, :, rows, columns] = 0  # the mean colour
            with torch.no_grad():
                falls[rows, columns] += score(model(image) - model(hidden), start)
            counts[rows, columns] += 1
    found = relevance_of(explainer, image, start, method)[0]
    assert_same(found.sum(0), falls / counts)
    assert torch.equal(found[0], found[1])


def score(logits: Tensor, start: OutputRelevance) -> Tensor:
    target, contrast = int(start.targets[0]), int(start.contrasts[0])
    return logits[0, target] - (logits[0, contrast] if contrast >= 0 else 0)


@pytest.mark.parametrize("baseline", ["mean", "black", "white"])
def test_integrated_gradients_are_complete_as_steps_grow(
    explainer: Explainer, images: Tensor, baseline: str
) -> None:
    gaps = []
    for n_steps in (2, 16, 128):
        method = make_method(
            None, "integrated_gradients", {"n_steps": n_steps, "baseline": baseline}
        )
        found = explainer.explain(images[:2], [OutputRelevance.predicted(2)], method)
        arrived, total = found.relevances[0].flatten(1).sum(1), found.totals[0]
        gaps.append(float((arrived - total).abs().mean() / total.abs().mean()))
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 0.02


@pytest.mark.parametrize("name", OURS)
def test_the_total_is_the_difference_of_the_logits_or_the_start(
    explainer: Explainer, images: Tensor, name: str
) -> None:
    found = explainer.explain(images[:1], [fixed(4, 7)], make_method(None, name, OURS[name]))
    logits = found.logits[0]
    wanted = {"smooth_grad": torch.tensor(0.0), "occlusion": logits[4] - logits[7]}
    if name in wanted:
        assert float(found.totals[0]) == pytest.approx(float(wanted[name]))
    else:
        from_mean = explainer.predict(torch.zeros_like(images[:1]))[0]
        change = (logits[4] - logits[7]) - (from_mean[4] - from_mean[7])
        assert float(found.totals[0]) == pytest.approx(float(change))


@pytest.mark.parametrize("name", OURS)
def test_an_item_of_a_batch_equals_it_alone(
    explainer: Explainer, images: Tensor, name: str
) -> None:
    method = make_method(None, name, OURS[name])
    n = len(images)
    targets = torch.arange(n) - 1  # of which the first is the predicted class
    start = OutputRelevance(targets, torch.full((n,), -1), torch.zeros(n) > 0)
    together = relevance_of(explainer, images, start, method)
    for row in range(n):
        alone = relevance_of(explainer, images[row : row + 1], fixed(row - 1), method)
        assert_same(together[row], alone[0])


def test_the_target_is_that_of_the_clean_image(explainer: Explainer, images: Tensor) -> None:
    """However strong the noise: its samples are predicted as something else."""
    method = make_method("none", "smooth_grad", {"n_samples": 8, "noise_level": 1.0})
    clean = int(explainer.predict(images[:1]).argmax())
    found = relevance_of(explainer, images[:1], OutputRelevance.predicted(1), method)
    assert torch.equal(found, relevance_of(explainer, images[:1], fixed(clean), method))


def test_the_seed_is_the_noise(explainer: Explainer, images: Tensor) -> None:
    def with_seed(seed: int) -> Tensor:
        method = make_method("none", "smooth_grad", {"n_samples": 4, "seed": seed})
        return relevance_of(explainer, images[:1], fixed(1), method)

    assert torch.equal(with_seed(5), with_seed(5))
    assert not torch.equal(with_seed(5), with_seed(6))


def test_one_sample_is_the_image_itself(explainer: Explainer, images: Tensor) -> None:
    one = make_method("epsilon_plus", "smooth_grad", {"n_samples": 1})
    plain = make_method("epsilon_plus", "gradient", {})
    found = (
        relevance_of(explainer, images[:2], OutputRelevance.predicted(2), m) for m in (one, plain)
    )
    assert torch.equal(*found)


def test_smooth_grad_has_layers_and_conserves_as_its_composite_does(
    explainer: Explainer, images: Tensor
) -> None:
    method = make_method(
        "epsilon_plus",
        "smooth_grad",
        {"n_samples": 5, "zero_bias": True, "epsilon": 1e-9, "stabilizer": 1e-9},
        layer="features.6",
    )
    found = explainer.explain(images[:2], [OutputRelevance.predicted(2)], method)
    assert found.relevances[0].shape == (2, 128, 16, 16)
    recorded = explainer.prepare(method).recorded_layers
    assert recorded[-1] == "features.6"
    torch.testing.assert_close(
        found.layer_sums[0], torch.ones(2, len(recorded)).double(), rtol=0, atol=1e-5
    )


@settings(max_examples=30)
@given(n=st.integers(1, 128), batch=st.integers(1, 4))
def test_samples_and_steps_are_all_computed_whatever_fits_into_a_pass(n: int, batch: int) -> None:
    """A linear network's gradients have a mean that shows what is left out or counted twice."""
    torch.manual_seed(0)
    last = nn.Linear(48, 3)
    model = nn.Sequential(nn.Flatten(), last).double()
    explainer, images = Explainer(model), torch.randn(batch, 3, 4, 4).double()
    weight = last.weight[1].detach().view(3, 4, 4)
    start = OutputRelevance(
        torch.ones(batch).long(), torch.full((batch,), -1), torch.zeros(batch) > 0
    )
    noisy = make_method("none", "smooth_grad", {"n_samples": n})
    assert_same(relevance_of(explainer, images, start, noisy), weight.expand_as(images))
    stepped = make_method(None, "integrated_gradients", {"n_steps": n})
    assert_same(relevance_of(explainer, images, start, stepped), weight * images)
