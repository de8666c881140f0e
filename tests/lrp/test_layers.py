"""The relevance of all layers from one pass equals that of each layer from a pass of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from service.errors import OptionError
from service.lrp.attribution.output_relevance import OutputRelevance
from service.lrp.explainer import Explainer
from service.methods import COMPOSITES, DEFAULT_ATTRIBUTOR, INPUT, Method, make_method
from service.models.bundles import Bundle
from service.runtime.engine import Engine
from service.runtime.jobs import ExplainJob
from tests.lrp.networks import architecture, make_explainer, make_images

LIMITS = {torch.float64: 1e-9, torch.float32: 1e-5}
STEPS = {"minivgg": 1, "resnet18": 4}  # of the layers that have a pass of their own


@pytest.fixture(scope="module", params=STEPS)
def network(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module", params=LIMITS, ids=str)
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    value: torch.dtype = request.param
    return value


@pytest.fixture(scope="module")
def explainer(network: str, dtype: torch.dtype) -> Iterator[Explainer]:
    """One at a time: with the twins of all composites they take gigabytes."""
    made = make_explainer(architecture(network), dtype)
    yield made
    made.close()


def starts_of(n: int) -> list[OutputRelevance]:
    rows = torch.arange(n)
    return [
        OutputRelevance(torch.where(rows == 0, -1, rows), torch.full((n,), -1), rows % 2 == 0),
        OutputRelevance(rows + 3, torch.full((n,), 2), rows % 2 == 1),
    ]


@pytest.mark.parametrize("composite", COMPOSITES)
def test_all_layers_from_one_pass_equal_one_pass_for_each(
    explainer: Explainer, network: str, dtype: torch.dtype, composite: str
) -> None:
    images, starts = make_images(2, 32, dtype), starts_of(2)
    method = make_method(composite, DEFAULT_ATTRIBUTOR, {})
    names = tuple(explainer.network.layers)
    listed = replace(method, layers=(INPUT, *names), sums_channels=False)
    together = explainer.explain(images, starts, listed)
    for name in names[:: STEPS[network]]:
        alone = explainer.explain(images, starts, replace(method, layer=name)).relevances
        kept = [by_layer[names.index(name)] for by_layer in together.by_layer]
        for one, other in zip(kept, alone, strict=True):
            assert other.abs().max() > 0
            assert (one - other).abs().max() <= LIMITS[dtype] * other.abs().max()
    at_input = explainer.explain(images, starts, method).relevances
    assert all(map(torch.equal, together.relevances, at_input))


def test_channels_are_summed_where_there_are_some(explainer: Explainer, dtype: torch.dtype) -> None:
    images = make_images(2, 32, dtype)
    method = replace(Method(), layers=tuple(explainer.network.layers))
    sums, whole = (
        explainer.explain(images, starts_of(2), replace(method, sums_channels=is_summed)).by_layer
        for is_summed in (True, False)
    )
    for one, other in zip(sums[0], whole[0], strict=True):
        torch.testing.assert_close(one, other.sum(1) if other.ndim == 4 else other)
    assert {one.ndim for one in sums[0]} == {2, 3}


def test_a_layer_that_does_not_exist_is_an_error(explainer: Explainer) -> None:
    with pytest.raises(OptionError, match=r"^layers: must be among"):
        explainer.prepare(replace(Method(), layers=("nothing",)))


def test_an_image_in_a_batch_has_the_layers_that_it_has_alone(shipped_bundle: Bundle) -> None:
    engine = Engine(shipped_bundle, torch.device("cpu"))
    names = tuple(info.name for info in engine.layers)
    method = replace(Method(), layers=names)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    jobs = [ExplainJob(one, engine.card.name, method, (None, n)) for n, one in enumerate(pixels)]
    assert len({job.key for job in jobs}) == 1
    assert jobs[0].key != replace(jobs[0], method=Method()).key
    for together, job in zip(engine.explain(jobs), jobs, strict=True):
        (alone,) = engine.explain([job])
        for one, other in zip(together.attributions, alone.attributions, strict=True):
            assert one.layers.keys() == set(names) - {INPUT}
            for name in one.layers:
                largest = np.abs(other.layers[name]).max()
                assert np.abs(one.layers[name] - other.layers[name]).max() <= 1e-5 * largest
