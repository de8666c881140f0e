"""A default method is checked when the model is loaded, and refused where it does not fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from service.errors import BundleError
from service.lrp import selftest
from service.methods import Method
from service.models.bundles import Bundle
from service.models.evidence import DefaultMethod
from service.runtime.engine import Engine

CPU = torch.device("cpu")


def with_default(bundle: Bundle, layers: str = "features.0", **default: str) -> Bundle:
    """The bundle with a composite `mine` for a layer, and a default method."""
    rules = [{"layers": layers, "rule": "epsilon"}]
    update = {"composites": {"mine": rules}, "default_method": DefaultMethod(**default)}
    return replace(bundle, card=bundle.card.model_copy(update=update))


def test_a_default_method_has_to_fit_the_network(shipped_bundle: Bundle) -> None:
    assert Engine(with_default(shipped_bundle, composite="mine"), CPU).card.default_method
    with pytest.raises(BundleError, match=r"the default_method of .* in model\.json, or remove it"):
        Engine(with_default(shipped_bundle, "no_such_layer", composite="mine"), CPU)


@pytest.mark.parametrize(
    ("default", "composite"),
    [
        ({"composite": "mine"}, "mine"),
        ({"composite": "epsilon_gamma_box", "attributor": "smooth_grad"}, "epsilon_gamma_box"),
        ({"attributor": "smooth_grad"}, "epsilon_plus_flat"),
        ({"attributor": "occlusion"}, "epsilon_plus_flat"),  # it has no rules to check
    ],
)
def test_its_rules_are_compared_with_zennit(
    shipped_bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    default: dict[str, str],
    composite: str,
) -> None:
    checked: list[Method] = []

    def check(explainer: Any, images: Any, method: Method) -> selftest.Check:
        checked.append(method)
        return selftest.Check(method.composite, "float32", "twin", 0.0, 0.0)

    monkeypatch.setattr(selftest, check.__name__, check)
    Engine(with_default(shipped_bundle, **default), CPU).check()
    assert [(one.composite, one.attributor) for one in checked] == [(composite, "gradient")]
