"""The self-test: it passes where relevance is right, and refuses where it is not."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from service.errors import BundleError, OptionError
from service.lrp.explainer import Explainer
from service.lrp.rules.base import RuleModule
from service.lrp.rules.linear_rules import AlphaBeta, Epsilon, Flat, Gamma, WSquare, ZBox, ZPlus
from service.lrp.selftest import LIMITS, Check, check, difference, sample_images, verify
from service.methods import COMPOSITES, Method, make_method, parse_rules
from service.models.bundles import read_bundle
from service.models.registry import find_bundle
from service.runtime.engine import Engine
from service.runtime.engines import load_engines
from service.settings import DEFAULT_MODEL
from tests.lrp.networks import make_explainer, make_images

SIDE = 8
OWN = {
    "squares": parse_rules([{"layers": "type:linear", "rule": "wsquare"}]),
    "boxed_last": parse_rules([{"layers": "6", "rule": "zbox"}]),
}
METHODS = [make_method(name, "gradient", {}, own=OWN) for name in (*COMPOSITES, "squares")]

# a rule, and a composite that uses it
BROKEN: list[tuple[type[RuleModule], str]] = [
    (Flat, "epsilon_plus_flat"),
    (ZPlus, "epsilon_plus_flat"),
    (Epsilon, "epsilon_plus_flat"),
    (AlphaBeta, "epsilon_alpha2_beta1"),
    (Gamma, "epsilon_gamma_box"),
    (ZBox, "epsilon_gamma_box"),
    (WSquare, "squares"),
]


def small_network(first: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    layers = (nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten())
    return nn.Sequential(first, *layers, nn.Linear(16, 3)).eval().requires_grad_(False)


def convolutional() -> nn.Module:
    return small_network(nn.Conv2d(3, 4, 3, padding=1))


@pytest.fixture(params=LIMITS, ids=str)
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    found: torch.dtype = request.param
    return found


@pytest.fixture
def explainer(dtype: torch.dtype) -> Explainer:
    return make_explainer(convolutional(), dtype)


@pytest.fixture
def images(dtype: torch.dtype) -> Tensor:
    return make_images(2, SIDE, dtype)


def break_rule(monkeypatch: pytest.MonkeyPatch, rule: type[RuleModule], factor: float) -> None:
    """Make a rule hand on too much."""
    right = rule.relevance

    def wrong(self: RuleModule, relevance_out: Tensor, x: Tensor, *saved: Tensor) -> Tensor:
        return right(self, relevance_out, x, *saved) * factor

    monkeypatch.setattr(rule, "relevance", wrong)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.composite)
def test_right_relevance_passes(
    explainer: Explainer, images: Tensor, dtype: torch.dtype, method: Method
) -> None:
    found = check(explainer, images, method)
    assert found.passed
    assert found.engine == "twin"
    assert (found.composite, found.limit) == (method.composite, LIMITS[dtype])
    assert found.dtype == str(dtype).removeprefix("torch.")


@pytest.mark.parametrize(("rule", "composite"), BROKEN, ids=[rule.__name__ for rule, _ in BROKEN])
def test_a_rule_that_is_wrong_by_a_hundredth_fails(
    explainer: Explainer,
    images: Tensor,
    rule: type[RuleModule],
    composite: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    break_rule(monkeypatch, rule, 1.01)
    found = check(explainer, images, make_method(composite, "gradient", {}, own=OWN))
    assert not found.passed
    assert 0.005 < found.difference < 0.1


@pytest.mark.parametrize(("factor", "passed"), [(1 + 1e-6, False), (1 + 1e-11, True)])
def test_in_float64_a_millionth_is_too_much(
    factor: float, passed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_rule(monkeypatch, ZPlus, factor)
    explainer = make_explainer(convolutional(), torch.float64)
    assert check(explainer, make_images(2, SIDE, torch.float64), Method()).passed is passed


def test_relevance_that_is_not_a_number_fails(
    explainer: Explainer, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_rule(monkeypatch, Flat, math.nan)
    found = check(explainer, images, Method())
    assert found.difference == math.inf
    assert not found.passed


@pytest.mark.parametrize(
    ("apart", "passed"), [(0.0, True), (1e-4, True), (1.1e-4, False), (math.inf, False)]
)
def test_a_check_passes_up_to_its_limit(apart: float, passed: bool) -> None:
    assert Check("none", "float32", "twin", apart, 1e-4).passed is passed


def test_a_difference_is_relative_to_the_largest_relevance_of_its_image() -> None:
    wanted = torch.tensor([[[1.0, -4.0]], [[100.0, 50.0]]])
    found = wanted + torch.tensor([[[0.0, 1.0]], [[0.0, -2.0]]])
    assert difference(found, wanted) == pytest.approx(1 / 4)  # not 2 / 100, nor 2 / 4
    assert difference(found[1:], wanted[1:]) == pytest.approx(2 / 100)


def test_nothing_differs_from_itself_not_even_a_blank_image() -> None:
    for image in (torch.zeros(1, 3, 2, 2), torch.ones(2, 3)):
        assert difference(image, image.clone()) == 0.0


def test_something_where_nothing_should_be_is_far_off() -> None:
    assert difference(torch.full((1, 2), 1e-3), torch.zeros(1, 2)) > 1e9


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", ["found", "wanted", "both"])
def test_a_difference_to_what_is_not_finite_is_infinite(value: float, where: str) -> None:
    found, wanted = torch.ones(3, 4), torch.ones(3, 4)
    for name, tensor in (("found", found), ("wanted", wanted)):
        if where in (name, "both"):
            tensor[1, 2] = value
    assert difference(found, wanted) == math.inf


def test_every_composite_is_verified_in_both_precisions() -> None:
    explainer = make_explainer(convolutional(), torch.float32)
    found = list(verify(explainer, make_images(2, SIDE, torch.float32), OWN))
    names = [*COMPOSITES, *OWN]
    wanted = list(product(["float64", "float32"], names))
    assert [(one.dtype, one.composite) for one in found] == wanted
    assert all(one.passed for one in found)
    assert {one.limit for one in found if one.dtype == "float64"} == {LIMITS[torch.float64]}
    assert {one.limit for one in found if one.dtype == "float32"} == {LIMITS[torch.float32]}
    unfit = [one for one in found if one.engine == "-"]
    assert [one.composite for one in unfit] == ["boxed_last"] * 2
    assert {one.engine for one in found if one not in unfit} == {"twin"}


def test_a_composite_that_does_not_fit_the_network_is_said_not_to() -> None:
    first = nn.Sequential(nn.AvgPool2d(1), nn.Conv2d(3, 4, 3, padding=1))
    explainer = make_explainer(small_network(first), torch.float32)
    images = make_images(2, SIDE, torch.float32)
    found = list(verify(explainer, images, {}))
    assert [one.composite for one in found if one.engine == "-"] == ["epsilon_gamma_box"] * 2
    assert all(one.difference == 0.0 for one in found if one.engine == "-")
    with pytest.raises(OptionError, match="zbox"):
        check(explainer, images, make_method("epsilon_gamma_box", "gradient", {}))


def test_verifying_finds_the_composites_of_a_broken_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    break_rule(monkeypatch, Gamma, 1.01)
    explainer = make_explainer(convolutional(), torch.float32)
    found = list(verify(explainer, make_images(2, SIDE, torch.float32), {}))
    assert [one.composite for one in found if not one.passed] == ["epsilon_gamma_box"] * 2


def test_zennit_is_not_far_from_itself() -> None:
    layers = (nn.ConvTranspose2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(400, 3))
    torch.manual_seed(0)
    explainer = make_explainer(nn.Sequential(*layers).eval(), torch.float32)
    found = check(explainer, make_images(2, SIDE, torch.float32), Method())
    assert (found.engine, found.passed) == ("zennit", True)


@pytest.mark.parametrize("size", [(32, 32), (224, 224), (20, 36)])
def test_sample_images_are_the_same_each_time(size: tuple[int, int]) -> None:
    torch.manual_seed(1)
    first = sample_images(size, 3)
    torch.manual_seed(2)
    assert torch.equal(sample_images(size, 3), first)
    assert (first.dtype, tuple(first.shape)) == (torch.uint8, (3, *size, 3))
    assert first.is_contiguous()
    assert len({image.numpy().tobytes() for image in first}) == 3


def test_sample_images_leave_torchs_random_numbers_alone() -> None:
    state = torch.get_rng_state()
    found = sample_images((16, 16), 2)
    assert torch.equal(torch.get_rng_state(), state)
    assert found.float().std() > 20  # they are no plain surface


@pytest.mark.parametrize("rule", [Flat, ZPlus, Epsilon])
def test_an_engine_whose_relevance_is_wrong_does_not_start(
    rule: type[RuleModule], monkeypatch: pytest.MonkeyPatch
) -> None:
    started = Engine(read_bundle(find_bundle(DEFAULT_MODEL)), torch.device("cpu"))
    started.warm_up()
    break_rule(monkeypatch, rule, 1.01)
    sentence = f"the model {DEFAULT_MODEL} fails its self-test: .* of the largest, more than 0.0001"
    with pytest.raises(BundleError, match=sentence):
        started.warm_up()
    with pytest.raises(BundleError, match=f"lrpserve verify {DEFAULT_MODEL}"):
        load_engines({DEFAULT_MODEL: find_bundle(DEFAULT_MODEL)}, "cpu")
