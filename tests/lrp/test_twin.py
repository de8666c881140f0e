"""The twin equals zennit: on every architecture, in every corner, on networks nobody thought of."""

from __future__ import annotations

import gc
import linecache
from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, fx, nn

from service.lrp.attribution.output_relevance import OutputRelevance
from service.lrp.explainer import MAX_TWINS, Explainer
from service.lrp.selftest import difference
from service.methods import COMPOSITES, Assignment, Method, make_method
from tests.helpers.covering import covering
from tests.lrp.methods import CORNERS, RULES_ALONE, corners, name_of
from tests.lrp.networks import (
    SIDES,
    architecture,
    full_width,
    make_explainer,
    make_images,
    random_networks,
)

LIMITS = {torch.float64: 1e-9, torch.float32: 1e-4}
EVERYTHING = (*CORNERS, *RULES_ALONE)


class Case(NamedTuple):
    """A composite with its parameters, on an architecture at a precision."""

    architecture: str
    dtype: torch.dtype
    method: Method

    def __str__(self) -> str:
        return f"{self.architecture}-{self.dtype}-{name_of(self.method)}"


def cases() -> Iterator[Case]:
    """Each composite with each pair of corners of its parameters, architectures and precisions."""
    for name, composite in COMPOSITES.items():
        names = [parameter.name for parameter in composite.parameters]
        every: Iterator[tuple[Any, ...]] = product(
            SIDES, LIMITS, *map(corners, composite.parameters)
        )
        for architecture_, dtype, *values in covering(every):
            method = make_method(name, "gradient", dict(zip(names, values, strict=True)))
            yield Case(architecture_, dtype, method)


CASES = sorted(cases(), key=lambda case: (case.architecture, str(case.dtype)))


class Skewed(NamedTuple):
    """Negative weights that are few and small."""

    share: float
    scale: float
    is_last_a_relu: bool
    stabilizer: float
    zero_bias: bool


# three values together make digits get lost: the scale, no ReLU, and no bias
SKEWED = covering(
    (
        Skewed(*values)
        for values in product(
            (0.5, 0.02, 0.005), (1.0, 1e-3, 1e-5), (True, False), (1e-9, 1e-6), (False, True)
        )
    ),
    strength=3,
)


def one_start() -> list[OutputRelevance]:
    """A class against another, from their logits: every output has a say."""
    return [OutputRelevance(torch.tensor([1]), torch.tensor([0]), torch.tensor([True]))]


def apart(explainer: Explainer, images: Tensor, method: Method) -> float:
    """The largest difference from zennit, relative to the largest relevance of an image."""
    found = explainer.explain(images, one_start(), method)
    assert explainer.prepare(method).engine == "twin"
    wanted = explainer.oracle(method).attribute(images, one_start())
    torch.testing.assert_close(found.logits, wanted.logits)
    pairs = zip(found.relevances, wanted.relevances, strict=True)
    return max(difference(one, other) for one, other in pairs)


@pytest.fixture(params=LIMITS, ids=str, scope="module")
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    found: torch.dtype = request.param
    return found


@lru_cache(maxsize=1)  # cases of one network follow each other
def explainer_of(name: str, dtype: torch.dtype) -> Explainer:
    return make_explainer(architecture(name), dtype)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_relevance_equals_zennit(case: Case) -> None:
    explainer = explainer_of(case.architecture, case.dtype)
    images = make_images(1, SIDES[case.architecture], case.dtype)
    assert apart(explainer, images, case.method) <= LIMITS[case.dtype]


@pytest.mark.parametrize("case", SKEWED, ids=lambda case: "-".join(map(str, case)))
def test_no_digits_are_lost_where_negative_weights_are_few_and_small(case: Skewed) -> None:
    values = {"stabilizer": case.stabilizer, "zero_bias": case.zero_bias}
    method = make_method("epsilon_alpha2_beta1", "gradient", values)
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 8, 3, padding=1)]
    for layer in layers:
        weight = layer.weight.detach().abs()
        is_negative = torch.rand_like(weight) < case.share
        layer.weight.data = torch.where(is_negative, -weight * case.scale, weight)
        layer.bias.data.abs_()  # type: ignore[union-attr]
    last = nn.ReLU() if case.is_last_a_relu else nn.Identity()
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))
    network = nn.Sequential(layers[0], nn.ReLU(), layers[1], last, pool).eval()
    for sign in (1, -1):  # contributions of the other sign are few
        layers[1].weight.data *= sign
        explainer = make_explainer(network, torch.float32)
        images = make_images(2, 12, torch.float32).abs()
        assert apart(explainer, images, method) <= LIMITS[torch.float32]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vgg11", "vgg11_bn", "alexnet"])
def test_relevance_equals_zennit_at_full_width(name: str) -> None:
    explainer = make_explainer(full_width(name), torch.float64)
    images = make_images(1, SIDES[name], torch.float64)
    assert apart(explainer, images, Method()) <= 1e-9


@pytest.mark.parametrize("method", RULES_ALONE, ids=name_of)
@pytest.mark.parametrize("name", ["minivgg", "resnet18"])
def test_each_rule_alone_equals_zennits(name: str, method: Method) -> None:
    explainer = make_explainer(architecture(name), torch.float64)
    assert apart(explainer, make_images(1, SIDES[name], torch.float64), method) <= 1e-9


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@pytest.mark.filterwarnings("ignore:Using padding=.same. with even kernel lengths")
@given(network=random_networks(), seed=st.integers(0, 99), data=st.data())
def test_relevance_equals_zennit_on_any_small_network(
    network: nn.Module, seed: int, data: st.DataObject, dtype: torch.dtype
) -> None:
    explainer = make_explainer(network, dtype)
    images = make_images(1, 20, dtype, seed)
    for method in data.draw(st.lists(st.sampled_from(EVERYTHING), min_size=1, max_size=4)):
        assert apart(explainer, images, method) <= LIMITS[dtype]


def test_nothing_remains_of_a_twin_that_is_evicted() -> None:
    """Rules of requests make twins without end: torch keeps the source code of each."""
    explainer = make_explainer(architecture("minivgg"), torch.float32)

    def use_other_rules(first: int, n: int) -> int:
        for value in range(first, first + n):
            entry = Assignment("type:convolution", "gamma", (("gamma", 0.001 * value),))
            explainer.prepare(make_method((entry.resolve({}),), "gradient", {}))
        gc.collect()
        return len(linecache.cache) + len(fx.graph_module._loader.eval_cache)

    after_many = use_other_rules(1, MAX_TWINS + 5)
    assert use_other_rules(1000, MAX_TWINS + 5) == after_many
