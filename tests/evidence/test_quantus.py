"""Our measures are those of Quantus 0.6, where it has them and where its definition holds.

Images have sides that Quantus takes, and its random numbers are replaced by ours. Tolerances are
those of float32 sums, of which Quantus takes some in another order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from service.evidence import complexity, conservation, localization, similarity, targets
from service.evidence.correlation import faithfulness_correlation
from service.evidence.curves import is_predicted, perturbation_curve
from service.evidence.fills import constant_fill
from service.evidence.imputation import impute
from service.evidence.orders import least_relevant_first, most_relevant_first, random_orders
from service.evidence.patches import PatchGrid
from service.evidence.randomization import randomized_networks
from service.evidence.sensitivity import sensitivity

pytestmark = [
    pytest.mark.slow,
    # of Quantus and of what it imports
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

SIDE, N_CLASSES = 24, 5
BLACK = constant_fill(0.0)
Arrays = NDArray[Any]


@pytest.fixture(scope="module")
def quantus() -> Any:
    return pytest.importorskip("quantus")


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def network(channels: int) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(
            nn.Conv2d(channels, 8, 3, padding=1, bias=False), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(8 * (SIDE // 2) ** 2, N_CLASSES, bias=False),
        ).eval()  # fmt: skip


class Case:
    """Images of a number of channels, with a network, its predictions and random maps."""

    def __init__(self, channels: int) -> None:
        self.network = network(channels)
        self.images = noise(6, channels, SIDE, SIDE)
        self.targets = self.network(self.images).argmax(1)
        self.relevance = noise(6, SIDE, SIDE, seed=1)

    def theirs(self, metric: Any, **options: Any) -> Arrays:
        arrays = {
            "x_batch": self.images.numpy(),
            "y_batch": self.targets.numpy(),
            "a_batch": self.relevance[:, None].numpy().copy(),
        } | options
        return np.array(
            metric(self.network, softmax=True, device="cpu", channel_first=True, **arrays)
        )

    def curve(self, side: int, order: Callable[..., Tensor], counts: range) -> Arrays:
        grid = PatchGrid(SIDE, SIDE, side)
        return perturbation_curve(
            self.network, self.images, self.targets, grid, order(grid, self.relevance), BLACK,
            counts, torch.Generator(),
        ).numpy()  # fmt: skip

    def explain(self, images: Tensor, targets: Tensor) -> Tensor:
        return input_times_gradient(self.network, images, targets)


def input_times_gradient(network: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    images = images.detach().clone().requires_grad_()
    scores = network(images).gather(1, targets[:, None])
    (gradient,) = torch.autograd.grad(scores.sum(), images)
    return (gradient * images).sum(1).detach()


def explained_for_quantus(model: Any, inputs: Any, targets: Any, **_: Any) -> Arrays:
    maps = input_times_gradient(model, torch.as_tensor(inputs), torch.as_tensor(targets))
    return maps[:, None].numpy()


PLAIN = {"normalise": False, "abs": False, "disable_warnings": True}


def test_pixel_flipping(quantus: Any) -> None:
    case = Case(3)
    metric = quantus.PixelFlipping(features_in_step=3 * 32, perturb_baseline=0.0, **PLAIN)
    found = case.curve(1, most_relevant_first, range(32, SIDE**2 + 1, 32))
    np.testing.assert_allclose(found, case.theirs(metric), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "order"), [("morf", most_relevant_first), ("lerf", least_relevant_first)]
)
def test_region_perturbation(quantus: Any, name: str, order: Callable[..., Tensor]) -> None:
    case = Case(3)
    metric = quantus.RegionPerturbation(
        patch_size=4, order=name, perturb_baseline=0.0, regions_evaluation=36, **PLAIN
    )
    found = case.curve(4, order, range(37))
    np.testing.assert_allclose(found[:, :1] - found[:, 1:], case.theirs(metric), atol=1e-6)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_noisy_linear_imputation(quantus: Any, share: float) -> None:
    image = noise(3, SIDE, SIDE)
    chosen = torch.randperm(SIDE**2, generator=torch.Generator().manual_seed(0))
    chosen = chosen[: int(share * SIDE**2)]
    hidden = torch.zeros(SIDE**2, dtype=torch.bool)
    hidden[chosen] = True
    theirs = quantus.functions.perturb_func.noisy_linear_imputation(
        image.double().numpy(), chosen.numpy(), noise=0.0
    )
    found = impute(image[None], hidden.view(1, SIDE, SIDE))[0].numpy()
    # ours ends at a residual of 1e-5 of the first one, a tenth of the noise that ROAD adds
    np.testing.assert_allclose(found, theirs, atol=1e-3)


def test_road(quantus: Any) -> None:
    case = Case(1)  # with three channels, Quantus 0.6 takes indices that there are not
    percentages = [5, 25, 50, 75, 95]
    metric = quantus.ROAD(percentages=percentages, noise=0.0, **PLAIN)
    metric(
        case.network, case.images.numpy(), case.targets.numpy(),
        case.relevance[:, None].numpy().copy(), softmax=True, device="cpu", channel_first=True,
    )  # fmt: skip
    theirs = list(metric.evaluation_scores.values())
    grid = PatchGrid(SIDE, SIDE, 1)

    def imputed(images: Tensor, hidden: Tensor, generator: torch.Generator) -> Tensor:
        return impute(images, hidden)

    found = perturbation_curve(
        case.network, case.images, case.targets, grid, most_relevant_first(grid, case.relevance),
        imputed, [int(SIDE**2 * one / 100) for one in percentages], torch.Generator(),
        score=is_predicted,
    )  # fmt: skip
    assert found.mean(0).tolist() == pytest.approx(theirs)
    assert len(set(theirs)) > 1


def test_faithfulness_correlation(quantus: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(1)  # with three channels, Quantus hides single values, not pixels
    grid, n_runs, n_hidden = PatchGrid(SIDE, SIDE, 1), 20, 60
    generator = torch.Generator().manual_seed(3)
    orders = iter(random_orders(grid, n_runs, generator).repeat_interleave(6, 0))
    monkeypatch.setattr(np.random, "choice", lambda n, size, replace: next(orders)[:size].numpy())
    metric = quantus.FaithfulnessCorrelation(
        nr_runs=n_runs, subset_size=n_hidden, perturb_baseline=0.0, return_aggregate=False, **PLAIN
    )
    found = faithfulness_correlation(
        case.network, case.images, case.targets, case.relevance, grid, BLACK,
        torch.Generator().manual_seed(3), n_hidden=n_hidden, n_subsets=n_runs,
    )  # fmt: skip
    np.testing.assert_allclose(found.numpy(), case.theirs(metric), atol=1e-4)


@pytest.mark.parametrize("name", ["MaxSensitivity", "AvgSensitivity"])
def test_sensitivity(quantus: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    case = Case(3)
    generator = torch.Generator().manual_seed(2)
    drawn = [torch.rand(case.images.shape[1:], generator=generator) for _ in range(4)]
    low, high = case.images.flatten(1).amin(1), case.images.flatten(1).amax(1)
    reach = 0.02 * (high - low)[:, None]
    samples = iter([(reach * (2 * one.flatten() - 1)).numpy() for one in drawn])
    monkeypatch.setattr(np.random, "uniform", lambda **_: next(samples))
    metric = getattr(quantus, name)(nr_samples=4, return_aggregate=False, **PLAIN)
    theirs = case.theirs(
        metric, a_batch=explained_for_quantus(case.network, case.images, case.targets),
        explain_func=explained_for_quantus,
    )  # fmt: skip
    found = sensitivity(
        case.explain, case.images, case.targets, torch.Generator().manual_seed(2), n_samples=4
    )
    ours = found.maximum if name == "MaxSensitivity" else found.average
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-3)


@pytest.mark.parametrize("name", ["Sparseness", "Complexity"])
def test_sparseness_and_complexity(quantus: Any, name: str) -> None:
    case = Case(3)
    measure = getattr(complexity, name.lower())
    theirs = case.theirs(getattr(quantus, name)(**PLAIN | {"abs": True}))
    # Quantus adds 1e-7 to each value in float32
    np.testing.assert_allclose(measure(case.relevance).numpy(), theirs, atol=1e-5)


def test_completeness(quantus: Any) -> None:
    """Quantus says whether both sides are equal floats: with integers they can be."""
    layer = nn.Linear(SIDE**2, 2, bias=False)
    layer.weight.data = weights = noise(2, SIDE**2).round()
    linear = nn.Sequential(nn.Flatten(), layer).eval()
    images = noise(4, 1, SIDE, SIDE).round()
    chosen = torch.tensor([0, 1, 0, 1])
    maps = (images * weights[chosen].view(4, 1, SIDE, SIDE))[:, 0]
    maps[2:] *= 2  # these are not complete
    metric = quantus.Completeness(perturb_baseline=0.0, **PLAIN)
    theirs = metric(
        linear, images.numpy(), chosen.numpy(), maps[:, None].numpy().copy(), softmax=False,
        device="cpu", channel_first=True,
    )  # fmt: skip
    totals = conservation.score_above_baseline(
        linear, images, chosen, torch.zeros(1, 1, SIDE, SIDE)
    )
    gaps = conservation.completeness_gap(maps.sum((1, 2)), totals)
    assert (gaps == 0).tolist() == list(theirs) == [True, True, False, False]
    assert gaps[2:].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("name", "measure"),
    [
        ("PointingGame", localization.pointing_game),
        ("RelevanceMassAccuracy", localization.relevance_mass),
        ("RelevanceRankAccuracy", localization.relevance_rank),
    ],
)
def test_localization(quantus: Any, name: str, measure: Callable[[Tensor, Tensor], Tensor]) -> None:
    case = Case(3)
    case.relevance = case.relevance.clamp(min=0)  # Quantus' mass has negative relevance too
    mask = torch.rand(6, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) < 0.3
    theirs = case.theirs(getattr(quantus, name)(**PLAIN), s_batch=mask[:, None].numpy())
    found = measure(case.relevance, mask).numpy()
    np.testing.assert_allclose(found, theirs.astype(float), atol=1e-6)


def test_model_parameter_randomization(quantus: Any) -> None:
    case = Case(3)
    metric = quantus.MPRT(**PLAIN, seed=4)
    theirs = metric(
        case.network, case.images.numpy(), case.targets.numpy(),
        explained_for_quantus(case.network, case.images, case.targets), device="cpu",
        channel_first=True, explain_func=explained_for_quantus,
    )  # fmt: skip
    trained = case.explain(case.images, case.targets)

    def as_quantus(layer: nn.Module, seed: int) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(5)  # one more than its seed, for each layer
            layer.reset_parameters()  # type: ignore[operator]

    found = {
        name: similarity.spearman(input_times_gradient(one, case.images, case.targets), trained)
        for name, one in randomized_networks(case.network, randomize=as_quantus)
    }
    assert list(found) == [name for name in theirs if name != "original"]
    for name, values in found.items():
        np.testing.assert_allclose(values.numpy(), theirs[name], atol=1e-6)


def test_random_logit(quantus: Any) -> None:
    """Quantus' own similarity is of maps as one line of pixels: here it is given Spearman's."""
    case = Case(3)
    functions = quantus.functions.similarity_func
    metric = quantus.RandomLogit(
        num_classes=N_CLASSES, similarity_func=functions.correlation_spearman, **PLAIN
    )
    asked: list[Arrays] = []

    def explain(model: Any, inputs: Arrays, targets: Arrays, **_: Any) -> Arrays:
        asked.append(targets)
        return explained_for_quantus(model, inputs, targets)

    maps = explained_for_quantus(case.network, case.images, case.targets)
    theirs = case.theirs(metric, a_batch=maps, explain_func=explain)
    others = torch.as_tensor(asked[-1])
    found = targets.class_sensitivity(case.explain, case.images, case.targets, others)
    np.testing.assert_allclose(found.rank.numpy(), theirs, atol=1e-6)
