"""Compares the service with LRP in matrix form: the networks' weights, images and targets."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from service.lrp import explainer as explainer_module
from service.lrp.attribution.gradient import AttributionResult
from service.lrp.attribution.output_relevance import OutputRelevance
from service.lrp.explainer import Explainer
from service.lrp.twin import NoTwinError
from service.methods import Method
from tests.lrp import matrix_lrp
from tests.lrp.matrix_lrp import Layer
from tests.lrp.matrix_rules import Floats, Rule

N_CLASSES = 3
GRADIENT = Rule("gradient")
LOW, HIGH = (-4.0, -5.0, -3.5), (4.5, 3.5, 4.0)  # of each channel
TARGETS, CONTRASTS = ((-1, 1, 2), (2, 1, 0)), ((-1, -1, 0), (0, -1, 1))  # -1: predicted, none
IS_LOGIT = ((False, True, False), (True, False, True))

ROUNDINGS = 64  # of a layer: those of its sums, and the 6 bits that alpha-beta may lose


class Engine(NamedTuple):
    """An implementation of the rules, at a precision."""

    name: str
    dtype: torch.dtype

    def __str__(self) -> str:
        return f"{self.name}{torch.finfo(self.dtype).bits}"

    def tolerance(self, condition: float) -> float:
        """What may be wrong, as a share of the largest value.

        Parameters
        ----------
        condition : float
            Condition number of the denominators; float64 has digits enough for any that occurs.
        """
        if self.dtype == torch.float64:
            return 1e-9
        return ROUNDINGS * torch.finfo(self.dtype).eps * condition


ENGINES = (
    Engine("twin", torch.float64),
    Engine("twin", torch.float32),
    Engine("zennit", torch.float64),
)
engines = pytest.mark.parametrize("engine", ENGINES, ids=str)

USEFUL = 1e-2  # with a bound that is no larger in one image at least, faults are seen
NOTHING = 1e-6  # of starts near 1: below it is what rounding has left of a zero


def check(
    explainer: Explainer, layers: Sequence[Layer], images: Tensor, method: Method, engine: Engine
) -> None:
    """Compare every round of targets, image by image."""
    found = _explain(explainer, images, method, engine.name)
    largest, tolerances = [], []
    for (number, relevance), row in itertools.product(enumerate(found.relevances), range(3)):
        assert relevance.shape == images.shape
        image = images[row].double().numpy().ravel()
        logits, wanted, condition = matrix_lrp.propagate(layers, image, _start(number, row))
        tolerances.append(engine.tolerance(condition))
        for one, other in (found.logits[row], logits), (relevance[row].flatten(), wanted):
            limit = tolerances[-1] * max(np.abs(other).max(), NOTHING)
            np.testing.assert_allclose(one.double().numpy(), other, rtol=0, atol=limit)
        largest.append(np.abs(wanted).max())
    assert len(largest) == 6
    assert max(largest) > 0
    assert min(tolerances) <= USEFUL


def _explain(
    explainer: Explainer, images: Tensor, method: Method, engine: str
) -> AttributionResult:
    """The service has two ways to compute the same, and takes zennit where it must."""

    def refuse(*_: object) -> None:
        raise NoTwinError

    with pytest.MonkeyPatch.context() as patch:
        if engine == "zennit":
            patch.setattr(explainer_module, "make_twin", refuse)
        found = explainer.explain(images, _rounds(), method)
        assert explainer.prepare(method).engine == engine
        return found


def _rounds() -> list[OutputRelevance]:
    return [
        OutputRelevance(torch.tensor(targets), torch.tensor(contrasts), torch.tensor(is_logit))
        for targets, contrasts, is_logit in zip(TARGETS, CONTRASTS, IS_LOGIT, strict=True)
    ]


def _start(number: int, row: int) -> Callable[[Floats], Floats]:
    def start(logits: Floats) -> Floats:
        target, contrast = TARGETS[number][row], CONTRASTS[number][row]
        signs = np.zeros(N_CLASSES)
        signs[logits.argmax() if target == -1 else target] = 1
        if contrast != -1:
            signs[contrast] = -1
        return signs * logits if IS_LOGIT[number][row] else signs

    return start


def with_weights(network: nn.Sequential, dtype: torch.dtype) -> nn.Sequential:
    torch.manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.5)
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            nn.init.normal_(buffer)
        if name.endswith("running_var"):
            nn.init.uniform_(buffer, 0.5, 2)
    return network.to(dtype).eval().requires_grad_(False)


def images_of(side: int, seed: int, dtype: torch.dtype) -> Tensor:
    """Three of them, with values of both signs, as normalized images have."""
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(3, 3, side, side))).to(dtype)


def box(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    low, high = (torch.tensor(bound, dtype=dtype).view(1, 3, 1, 1) for bound in (LOW, HIGH))
    return low, high


def box_of(n_pixels: int) -> dict[str, Any]:
    return {"low": np.repeat(LOW, n_pixels), "high": np.repeat(HIGH, n_pixels)}
