"""Findings about explanations: what hiding does is computed as stated, alone or in a batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from service.evidence import live
from service.evidence.cost import N_COPIES, N_RANDOM_ORDERS, N_STEPS, SEED, count_forwards
from service.evidence.fills import FILLS
from service.evidence.findings import Findings
from service.evidence.orders import random_orders
from service.evidence.patches import PatchGrid
from service.evidence.verdict import judge
from service.lrp.passes import Pause
from service.methods import Method, make_method
from service.runtime.engine import Engine
from service.runtime.jobs import ExplainJob
from tests.helpers.network_input import Pixels, read_pixels

MODEL = "minivgg-cifar10"
GRID = PatchGrid(32, 32, 4)
CAT, DOG = 3, 5


@pytest.fixture(scope="module")
def images(samples: list[Path]) -> list[Pixels]:
    return [read_pixels(path) for path in samples[::100]]


def job_of(image: Pixels, method: Method | None = None) -> ExplainJob:
    return ExplainJob(image, MODEL, method or Method(), has_evidence=True)


def findings_of(engine: Engine, job: ExplainJob) -> Findings:
    (explanation,) = engine.explain([job])
    found = explanation.attributions[0].findings
    assert found is not None
    return found


def odds(
    engine: Engine, image: Pixels, hidden: np.ndarray, target: int, other: int | None
) -> float:
    """The log-odds with a mask of shape (H, W) hidden, without any batch."""
    normalized = engine._normalize(torch.from_numpy(image[None].copy()))
    filled = FILLS["blur"](normalized, torch.from_numpy(hidden)[None], torch.Generator())
    logits = engine.explainer.predict(filled)[0].double()
    if other is not None:
        return float(logits[target] - logits[other])
    share = float(logits.softmax(0)[target])
    return float(np.log(share / (1 - share)))


def ranks_by_hand(means: np.ndarray) -> np.ndarray:
    """The rank of each pixel's square, where means have no ties."""
    return np.kron(means.argsort()[::-1].argsort().reshape(8, 8), np.ones((4, 4), int))


@pytest.mark.parametrize(("target", "contrast"), [(None, None), (DOG, None), (CAT, DOG)])
def test_each_point_of_each_curve_is_what_hiding_by_hand_gives(
    engine: Engine, images: list[Pixels], target: int | None, contrast: int | None
) -> None:
    job = replace(job_of(images[0]), targets=(target,), contrast=contrast)
    (explanation,) = engine.explain([job])
    (attribution,) = explanation.attributions
    found = attribution.findings
    assert found is not None
    means = attribution.relevance.sum(0).reshape(8, 4, 8, 4).mean((1, 3), dtype=np.float64).ravel()
    drawn = random_orders(GRID, N_RANDOM_ORDERS, torch.Generator().manual_seed(SEED))
    orders = [ranks_by_hand(means), ranks_by_hand(-means), *GRID.ranks(drawn).numpy()]
    curves = [found.most_relevant_first, found.least_relevant_first, *found.random]
    assert found.hidden == tuple(step / 8 for step in range(9))
    assert len(curves) == len(orders) == 2 + N_RANDOM_ORDERS
    for ranks, curve in zip(orders, curves, strict=True):
        for share, value in zip(found.hidden, curve, strict=True):
            wanted = odds(engine, images[0], ranks < 64 * share, attribution.target, contrast)
            assert value == pytest.approx(wanted, abs=1e-3)


def test_a_wrong_order_is_seen_by_hand(engine: Engine, images: list[Pixels]) -> None:
    """The control of the test above: another order has other values."""
    found = findings_of(engine, job_of(images[0]))
    drawn = random_orders(GRID, 1, torch.Generator().manual_seed(SEED + 1))
    hidden = GRID.hidden(drawn, 32)[0].numpy()
    (target,) = [one.target for one in engine.explain([job_of(images[0])])[0].attributions]
    other = odds(engine, images[0], hidden, target, None)
    assert abs(found.random[0][4] - other) > 1e-2


@pytest.mark.parametrize("attributor", ["gradient", "smooth_grad", "integrated_gradients"])
def test_alone_and_in_a_batch_are_the_same(
    engine: Engine, images: list[Pixels], attributor: str
) -> None:
    given = {} if attributor == "gradient" else {"n_samples": 3}
    given = {"n_steps": 3} if attributor == "integrated_gradients" else given
    jobs = [job_of(image, make_method(None, attributor, given)) for image in images]
    jobs[1] = replace(jobs[1], contrast=DOG, targets=(CAT,))
    for job, together in zip(jobs, engine.explain(jobs), strict=True):
        alone, batch = findings_of(engine, job), together.attributions[0].findings
        assert batch is not None
        curves = ("most_relevant_first", "least_relevant_first", "random", "similarities")
        for name in curves:
            difference = np.subtract(getattr(alone, name), getattr(batch, name))
            assert np.abs(difference).max() <= 1e-5 * 10, name  # log-odds are up to 10
        assert findings_of(engine, job) == alone  # and the same again, to the last digit


def test_targets_have_what_each_has_alone(engine: Engine, images: list[Pixels]) -> None:
    job = replace(job_of(images[0]), targets=(CAT, DOG, None))
    (explanation,) = engine.explain([job])
    for target, attribution in zip(job.targets, explanation.attributions, strict=True):
        alone, found = findings_of(engine, replace(job, targets=(target,))), attribution.findings
        assert found is not None
        assert found.n_forwards == count_forwards(3, 1)
        for name in ("most_relevant_first", "least_relevant_first", "random", "similarities"):
            np.testing.assert_allclose(getattr(found, name), getattr(alone, name), atol=1e-4)


@pytest.mark.parametrize("n_targets", [1, 3])
def test_the_forwards_are_those_that_are_stated(
    engine: Engine, images: list[Pixels], monkeypatch: pytest.MonkeyPatch, n_targets: int
) -> None:
    counted: list[int] = []
    module = engine.explainer.network.module
    forward = module.forward

    def count(batch: Tensor) -> Tensor:
        counted.append(len(batch))
        logits: Tensor = forward(batch)
        return logits

    monkeypatch.setattr(module, "forward", count)
    found = findings_of(engine, replace(job_of(images[0]), targets=(CAT, DOG, 7)[:n_targets]))
    predicted = (N_STEPS - 1) * (N_RANDOM_ORDERS + 2 * n_targets) + 1
    assert sum(counted) == predicted
    assert found.n_forwards == predicted + N_COPIES
    assert max(counted) <= 8  # so that other work need not wait for long


def test_it_pauses_and_can_be_cancelled(engine: Engine, images: list[Pixels]) -> None:
    passes = engine.run_in_passes([job_of(images[0])])
    pauses = [next(passes) for _ in range(5)]
    assert pauses == [Pause.BETWEEN] * 5
    passes.close()
    assert findings_of(engine, job_of(images[0])).n_forwards == count_forwards(1, 1)


def test_a_map_of_a_layer_has_the_size_of_the_image(engine: Engine, images: list[Pixels]) -> None:
    method = make_method(None, "gradient", {}, layer="features.9")
    found = findings_of(engine, job_of(images[0], method))
    assert found.patch == 4
    assert judge(found).separation is not None


@pytest.fixture(scope="module")
def recognized(engine: Engine, samples: list[Path]) -> list[Pixels]:
    """Images of which the network is sure."""
    pixels = [read_pixels(path) for path in samples[::10]]
    shares = [torch.from_numpy(one.logits).softmax(0).max() for one in engine.predict(pixels)]
    return [image for image, share in zip(pixels, shares, strict=True) if share > 0.9][:8]


def verdicts(engine: Engine, images: list[Pixels], **changes: object) -> list[str]:
    jobs = [replace(job_of(image), **changes) for image in images]  # type: ignore[arg-type]
    found = [one.attributions[0].findings for one in engine.explain(jobs)]
    return [judge(one).name for one in found if one is not None]


def break_maps(monkeypatch: pytest.MonkeyPatch, fault: Callable[[Tensor], Tensor]) -> None:
    fit = live._fit
    monkeypatch.setattr(live, "_fit", lambda relevance, images: fault(fit(relevance, images)))


def shuffle(maps: Tensor) -> Tensor:
    places = torch.randperm(maps[0].numel(), generator=torch.Generator().manual_seed(0))
    return maps.flatten(1)[:, places].view_as(maps)


def test_true_maps_are_supported(engine: Engine, recognized: list[Pixels]) -> None:
    found = verdicts(engine, recognized)
    assert found.count("supported") >= 6
    assert "not supported" not in found


def test_inverted_maps_are_not_supported(
    engine: Engine, recognized: list[Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    break_maps(monkeypatch, torch.neg)
    assert set(verdicts(engine, recognized)) == {"not supported"}


def test_shuffled_maps_are_not_supported(
    engine: Engine, recognized: list[Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    break_maps(monkeypatch, shuffle)
    found = verdicts(engine, recognized)
    assert "supported" not in found
    assert found.count("not supported") >= 5


def test_constant_maps_are_undecided(
    engine: Engine, recognized: list[Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    break_maps(monkeypatch, torch.ones_like)
    assert set(verdicts(engine, recognized)) == {"undecided"}


def test_a_map_whose_signs_are_turned_is_not_supported(
    engine: Engine, recognized: list[Pixels]
) -> None:
    """`one_hot` with a negative logit: red is then what speaks against the class."""
    logits = [one.logits for one in engine.predict(recognized)]
    lowest = [int(values.argmin()) for values in logits]
    assert max(min(values) for values in logits) < 0
    by_start = {
        start: [
            verdicts(engine, [image], targets=(target,), start=start)[0]
            for image, target in zip(recognized, lowest, strict=True)
        ]
        for start in ("logit", "one_hot")
    }
    assert by_start["one_hot"].count("not supported") >= 7
    assert by_start["logit"].count("supported") >= 4
