"""A default method that does not fit its network is refused when the model is loaded."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from service.errors import BundleError
from service.models.bundles import Bundle
from service.models.evidence import DefaultMethod
from service.runtime.engine import Engine


def with_composite(bundle: Bundle, layers: str) -> Bundle:
    rules = [{"layers": layers, "rule": "epsilon"}]
    update = {"composites": {"mine": rules}, "default_method": DefaultMethod(composite="mine")}
    return replace(bundle, card=bundle.card.model_copy(update=update))


def test_a_default_method_has_to_fit_the_network(shipped_bundle: Bundle) -> None:
    cpu = torch.device("cpu")
    assert Engine(with_composite(shipped_bundle, "features.0"), cpu).card.default_method
    with pytest.raises(BundleError, match="the default_method of the model"):
        Engine(with_composite(shipped_bundle, "no_such_layer"), cpu)
