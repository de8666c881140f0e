"""Cases of the attribution benchmark: a network, a batch and a composite."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from zennit.attribution import Gradient
from zennit.composites import COMPOSITES as ZENNIT_COMPOSITES

from service.lrp.attribution.output_relevance import OutputRelevance
from service.lrp.explainer import Explainer
from service.methods import make_method
from service.models.architectures import build

Call = Callable[[], object]
DEFAULT = "epsilon_plus_flat"
_TIMED = (DEFAULT, "epsilon_gamma_box", "epsilon_alpha2_beta1")
_SMALL_GOAL, _LARGE_GOAL = 2.5, 1.8  # times as fast as zennit


@dataclass(frozen=True)
class Case:
    """One network, batch and composite, explained by each implementation.

    Attributes
    ----------
    naive : callable
        zennit as in its tutorial: attributor and composite on the network as it is.
    oracle : callable
        zennit on the service's canonized network, in the service's memory format.
    twin : callable
        The service's engine.
    forward : callable
        The network's own forward pass in the service's memory format.
    """

    naive: Call
    oracle: Call
    twin: Call
    forward: Call


def make_case(model: nn.Module, images: Tensor, composite: str) -> Case:
    """Prepare the implementations; the engine gets a copy, as it changes the memory format."""
    method = make_method(composite, "gradient", {})
    starts = [OutputRelevance.predicted(len(images), images.device)]
    explainer = Explainer(copy.deepcopy(model))
    oracle = explainer.oracle(method)
    naive = Gradient(model, _zennit(composite, images))
    memory_format = torch.channels_last if images.device.type == "cpu" else torch.contiguous_format
    arranged = images.contiguous(memory_format=memory_format)
    return Case(
        naive=lambda: naive(images, _one_hot),
        oracle=lambda: oracle.attribute(arranged, starts),
        twin=lambda: explainer.explain(arranged, starts, method),
        forward=lambda: explainer.predict(arranged),
    )


def _zennit(composite: str, images: Tensor) -> Any:
    if composite == "none":
        return None
    zero = torch.zeros(1, 3, 1, 1, device=images.device)
    box = {"low": zero, "high": zero + 1} if composite == "epsilon_gamma_box" else {}
    return ZENNIT_COMPOSITES[composite](**box)


def _one_hot(logits: Tensor) -> Tensor:
    return nn.functional.one_hot(logits.argmax(1), logits.shape[1]).to(logits)


@dataclass(frozen=True)
class TimedCase:
    """A case, how often it is timed, and how many times as fast as zennit it has to be."""

    network: str
    batch: int
    composite: str
    case: Case
    n: int
    goal: float


def small_cases(model: nn.Module, n: int) -> list[TimedCase]:
    """MiniVGG, the network that ships."""
    generator = torch.Generator().manual_seed(0)
    cases = []
    for composite in _TIMED:
        for batch in (1, 8, 32):
            images = torch.randn(batch, 3, 32, 32, generator=generator)
            repeats = max(n // 2, n // batch)
            case = make_case(model, images, composite)
            cases.append(TimedCase("minivgg", batch, composite, case, repeats, _SMALL_GOAL))
    return cases


def large_cases(n: int) -> list[TimedCase]:
    """ResNet50 and VGG16 with random weights."""
    torch.manual_seed(0)
    images = torch.randn(1, 3, 224, 224)
    cases = []
    for name in ("resnet50", "vgg16"):
        model = build(name, 1000).eval().requires_grad_(False)
        case = make_case(model, images, DEFAULT)
        cases.append(TimedCase(name, 1, DEFAULT, case, n, _LARGE_GOAL))
    return cases
