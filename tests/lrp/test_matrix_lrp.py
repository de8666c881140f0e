"""Each composite: the service's relevance equals LRP in matrix form, on tiny networks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import pytest
from torch import nn

from service.lrp.explainer import Explainer
from service.methods import COMPOSITES, Method, make_method
from tests.helpers.covering import covering
from tests.lrp.matrix_check import (
    CONTRASTS,
    ENGINES,
    IS_LOGIT,
    N_CLASSES,
    TARGETS,
    Engine,
    box,
    box_of,
    check,
    images_of,
    with_weights,
)
from tests.lrp.matrix_rules import Rule
from tests.lrp.matrix_torch import Block, as_matrices
from tests.lrp.methods import name_of

SEED = 0


class Roles(NamedTuple):
    """Which rule the papers give to which layers."""

    first: str = "gradient"
    conv: str = "gradient"
    dense: str = "gradient"
    relu: str = "gradient"
    average: str = "gradient"  # and sums
    batch_norm: str = "gradient"  # where no convolution is right before it


_REST = ("epsilon", "pass", "norm", "pass")
ROLES = {
    "epsilon_plus_flat": Roles("flat", "zplus", *_REST),
    "epsilon_plus": Roles("zplus", "zplus", *_REST),
    "epsilon_alpha2_beta1": Roles("alpha_beta", "alpha_beta", *_REST),
    "epsilon_alpha2_beta1_flat": Roles("flat", "alpha_beta", *_REST),
    "epsilon_gamma_box": Roles("zbox", "gamma", *_REST),
    "deconvnet": Roles(relu="relu_deconvnet"),
    "guided_backprop": Roles(relu="relu_guided_backprop"),
    "excitation_backprop": Roles("zplus", "zplus", "zplus", average="norm"),
    "beta_smooth": Roles(relu="relu_beta_smooth"),
    "none": Roles(),
}


def plain() -> nn.Sequential:
    """Every kind of layer that the shipped network has, and biases that matter."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 5, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(20, 12),
        nn.ReLU(),
        nn.Linear(12, N_CLASSES),
    )


def residual() -> nn.Sequential:
    """What a ResNet adds: batch norm, merged and not, sums of branches, average pools."""
    branch = nn.Sequential(
        nn.Conv2d(4, 5, 3, padding=1), nn.ReLU(), nn.Conv2d(5, 4, 1), nn.BatchNorm2d(4)
    )
    wider = nn.Sequential(
        nn.Conv2d(4, 4, 3, stride=2, padding=1, groups=2), nn.ReLU(), nn.Conv2d(4, 6, 1)
    )
    projection = nn.Sequential(nn.Conv2d(4, 6, 1, stride=2, bias=False), nn.BatchNorm2d(6))
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=1, padding=1),
        Block(branch, nn.Sequential()),
        nn.ReLU(inplace=True),
        nn.BatchNorm2d(4),
        nn.AvgPool2d(2),
        Block(wider, projection),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, N_CLASSES),
    )


NETWORKS = {"plain": plain, "residual": residual}


CHOICES: dict[str, Sequence[float | bool]] = {
    "epsilon": (1e-9, 1e-6, 0.5, 1e3),
    "stabilizer": (1e-9, 1e-6, 0.05, 1e3),
    "gamma": (0.25, 10.0),
    "beta": (1.0, 10.0),
    "zero_bias": (False, True),
}


class Case(NamedTuple):
    """A composite with its parameters, on a network."""

    method: Method
    network: str
    engine: Engine

    def __str__(self) -> str:
        return f"{name_of(self.method)}-{self.network}-{self.engine}"


def cases() -> Iterator[Case]:
    """Each composite with each pair of values, networks and engines."""
    for name, composite in COMPOSITES.items():
        names = [parameter.name for parameter in composite.parameters]
        every: Iterator[tuple[Any, ...]] = itertools.product(
            *(CHOICES[name] for name in names), NETWORKS, ENGINES
        )
        for *values, network, engine in covering(every):
            given = dict(zip(names, values, strict=True))
            yield Case(make_method(name, "gradient", given), network, engine)


@cache
def explained(network: str, engine: Engine) -> tuple[nn.Sequential, Explainer]:
    made = with_weights(NETWORKS[network](), engine.dtype)
    return made, Explainer(made, box(engine.dtype))


@pytest.mark.parametrize("case", list(cases()), ids=str)
def test_a_composite(case: Case) -> None:
    method, network, engine = case
    made, explainer = explained(network, engine)
    roles = ROLES[method.composite]
    values: dict[str, Any] = {"alpha": 2.0, "beta": 1.0, **dict(method.parameters)}
    first = made[0]

    def rule_of(module: nn.Module) -> Rule:
        kinds: dict[Any, str] = {
            nn.Conv2d: roles.first if module is first else roles.conv,
            nn.Linear: roles.dense,
            nn.ReLU: roles.relu,
            nn.BatchNorm2d: roles.batch_norm,
        }
        return Rule(kinds.get(type(module), roles.average), **values, **box_of(36))

    layers, _ = as_matrices(made, (3, 6, 6), rule_of)
    check(explainer, layers, images_of(6, SEED, engine.dtype), method, engine)


def test_both_starts_meet_a_negative_logit() -> None:
    _, explainer = explained("plain", ENGINES[0])
    logits = explainer.predict(images_of(6, SEED, ENGINES[0].dtype))
    rounds = zip(TARGETS, CONTRASTS, IS_LOGIT, strict=True)
    rows = [row for one in rounds for row in zip(logits, *one, strict=True)]
    negative = [row for row in rows if row[1] >= 0 and row[0][row[1]] < 0]
    assert {is_logit for _, _, contrast, is_logit in negative if contrast < 0} == {False, True}
    assert any(is_logit and contrast >= 0 for _, _, contrast, is_logit in negative)


def test_every_composite_has_a_matrix_form() -> None:
    assert ROLES.keys() == COMPOSITES.keys()
