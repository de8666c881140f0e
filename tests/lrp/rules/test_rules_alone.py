"""Each rule alone, on a small layer: the service's relevance equals LRP in matrix form.

The layer sees the image or is behind others, and before a plain layer, which hands it relevance of
both signs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from service.lrp.explainer import Explainer
from service.methods import RULES, Method, Parameter, Value, make_method, parse_rules
from service.methods import parameters as known
from tests.helpers.covering import covering
from tests.lrp.matrix_check import (
    ENGINES,
    GRADIENT,
    N_CLASSES,
    Engine,
    box,
    box_of,
    check,
    engines,
    images_of,
    with_weights,
)
from tests.lrp.matrix_rules import Rule
from tests.lrp.matrix_torch import Block, as_matrices

SEED = 0
CHOICES: dict[Parameter, tuple[Value, ...]] = {
    known.EPSILON: (1e-9, 1e-6, 0.3),
    known.STABILIZER: (1e-9, 1e-6, 0.3),
    known.ZERO_BIAS: (False, True),
    known.GAMMA: (0.0, 0.25, 10.0),
    known.ALPHA: (1.0, 2.0),
    known.BETA: (0.0, 1.0),
    known.SMOOTHNESS: (0.5, 10.0),
}
SMALL: dict[str, Callable[[], list[nn.Module]]] = {
    "linear": lambda: [nn.Flatten(), nn.Linear(48, 5)],
    "conv": lambda: [nn.Conv2d(3, 4, 3, padding=1)],
    "odd_conv": lambda: [nn.Conv2d(3, 6, (3, 2), (1, 2), (1, 1), (2, 1), groups=3, bias=False)],
    "average_pool": lambda: [nn.AvgPool2d(3, stride=2, padding=1)],
    "global_pool": lambda: [nn.AdaptiveAvgPool2d(1)],
    "sum": lambda: [Block(nn.Sequential(nn.Conv2d(3, 3, 1)), nn.Sequential())],
    "batch_norm": lambda: [nn.BatchNorm2d(3)],
    "relu_of_linear": lambda: [nn.Flatten(), nn.Linear(48, 5), nn.ReLU()],
    "relu_of_conv": lambda: [nn.Conv2d(3, 4, 3, padding=1), nn.ReLU()],
}
AFFINE, RELUS = ("linear", "conv", "odd_conv"), ("relu_of_linear", "relu_of_conv")
GIVEN_TO: dict[str, Sequence[str]] = {
    "affine": AFFINE,
    "averaging": (*AFFINE, "average_pool", "global_pool", "sum"),
    "elementwise": (*RELUS, "batch_norm"),
    "relu": RELUS,
    "any": list(SMALL),
}


class Case(NamedTuple):
    """A rule with its parameters, on a layer."""

    rule: str
    values: dict[str, Any]
    kind: str
    inputs: str
    engine: Engine


def cases() -> Iterator[Case]:
    """Each rule with each pair of values, kinds of layers and inputs, and engines."""
    for rule in RULES.values():
        # the box is that of pixels: only a layer that sees them can have the rule
        is_box = rule.name == "zbox"
        kinds = ("conv", "odd_conv") if is_box else GIVEN_TO[rule.affects]
        inputs = ("signed", "positive") if is_box else ("signed", "positive", "hidden")
        names = [parameter.name for parameter in rule.parameters]
        values = [
            chosen
            for chosen in itertools.product(*(CHOICES[parameter] for parameter in rule.parameters))
            if rule.name != "alpha_beta" or chosen[0] - chosen[1] == 1  # type: ignore[operator]
        ]
        product = itertools.product(values, kinds, inputs, ENGINES)
        every: Iterator[tuple[Any, ...]] = ((*first, *rest) for first, *rest in product)
        for *chosen, kind, given, engine in covering(every):
            yield Case(rule.name, dict(zip(names, chosen, strict=True)), kind, given, engine)


class Small(NamedTuple):
    """A small network, the number of the layer that gets the rule, and images."""

    network: nn.Sequential
    number: int
    images: Tensor
    explainer: Explainer


@cache
def small(kind: str, inputs: str, engine: Engine) -> Small:
    before = [nn.Conv2d(3, 3, 1), nn.ReLU()] if inputs == "hidden" else []
    modules = [*before, *SMALL[kind]()]
    shape = nn.Sequential(*modules).eval()(torch.zeros(1, 3, 4, 4)).shape
    last = nn.Linear(shape[1:].numel(), N_CLASSES)
    network = with_weights(nn.Sequential(*modules, nn.Flatten(), last), engine.dtype)
    images = images_of(4, SEED, engine.dtype)
    images = images.abs() if inputs == "positive" else images
    return Small(network, len(modules) - 1, images, Explainer(network, box(engine.dtype)))


def lone(layer: str, rule: str, values: dict[str, Value]) -> Method:
    return make_method(parse_rules([{"layers": layer, "rule": rule, **values}]), "gradient", {})


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: "-".join(map(str, case)))
def test_a_rule_alone(case: Case) -> None:
    network, number, images, explainer = small(case.kind, case.inputs, case.engine)
    rule, own = Rule(case.rule, **case.values, **box_of(16)), network[number]
    layers, _ = as_matrices(network, (3, 4, 4), lambda one: rule if one is own else GRADIENT)
    method = lone("type:sum" if case.kind == "sum" else str(number), case.rule, case.values)
    check(explainer, layers, images, method, case.engine)


@engines
@pytest.mark.parametrize("name", [name for name in RULES if "relu" not in name and name != "pass"])
def test_outputs_of_zero(name: str, engine: Engine) -> None:
    """Gamma hands nothing on there; the others have a stabilizer, and sign(0) is +1."""
    dtype = engine.dtype
    conv, last = nn.Conv2d(3, 3, 1), nn.Linear(3, 3, bias=False)
    conv.weight.data = torch.tensor([[2.0, -1, 4]] * 3).view(3, 3, 1, 1)
    conv.bias = nn.Parameter(torch.tensor([-1.0, -2, 0]))
    network = nn.Sequential(conv, nn.Flatten(), last).to(dtype).requires_grad_(False)
    last.weight.data = torch.tensor([[1.0, 2, -1], [3, -1, 1], [-2, 1, 1]], dtype=dtype)
    images = torch.tensor([[1, -3, -1], [0, 0, 0], [2, 0, -1]], dtype=dtype).view(3, 3, 1, 1)
    assert (conv(images) == 0).sum() == 3
    values: dict[str, Any] = {p.name: p.default for p in RULES[name].parameters}
    rule = Rule(name, **values, **box_of(1))
    layers, _ = as_matrices(network, (3, 1, 1), lambda one: rule if one is conv else GRADIENT)
    check(Explainer(network, box(dtype)), layers, images, lone("0", name, values), engine)


@engines
def test_pixels_are_from_0_to_1_where_nothing_else_is_said(engine: Engine) -> None:
    network, _, images, _ = small("conv", "signed", engine)
    rule = Rule("zbox", stabilizer=1e-6, low=0.0, high=1.0)
    layers, _ = as_matrices(network, (3, 4, 4), lambda one: rule if one is network[0] else GRADIENT)
    method = lone("0", "zbox", {"stabilizer": 1e-6})
    check(Explainer(network), layers, images.sigmoid(), method, engine)
