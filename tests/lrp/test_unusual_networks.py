"""What people write: every network is explained as zennit does it, and every layer can be asked."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from service.errors import OptionError
from service.lrp.attribution.output_relevance import OutputRelevance
from service.lrp.explainer import Explainer
from service.lrp.network.canonize import difference
from service.lrp.network.network import used_more_than_once
from service.lrp.selftest import check
from service.methods import make_method
from tests.lrp.networks import make_explainer, make_images, settle
from tests.lrp.unusual import UNUSUAL, unusual

IMAGES = make_images(2, 8, torch.float64)
BY_ZENNIT = {"a hook", "weight norm"}
# one for each way through a graph: all kinds of rules, the image's box, plain ReLUs between rules,
# rules of ReLUs alone, and none; other composites differ from these in rules of affine layers only
DIFFERENT = (
    "epsilon_alpha2_beta1_flat",
    "epsilon_gamma_box",
    "excitation_backprop",
    "guided_backprop",
    "none",
)


@pytest.fixture(params=UNUSUAL, scope="module")
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def explainer(name: str) -> Explainer:
    return make_explainer(unusual(name), torch.float64)


def test_it_is_traced_and_computes_what_it_did(explainer: Explainer, name: str) -> None:
    assert explainer.network.graph is not None, explainer.network.why_untraceable
    assert difference(unusual(name), explainer.network.module, IMAGES) <= 1e-9


@pytest.mark.parametrize("composite", DIFFERENT)
def test_relevance_equals_zennit(explainer: Explainer, name: str, composite: str) -> None:
    method = make_method(composite, "gradient", {})
    if (composite, name) == ("epsilon_gamma_box", "another order"):
        with pytest.raises(OptionError, match="zbox is for the layer that sees the image"):
            check(explainer, IMAGES, method)
        return
    found = check(explainer, IMAGES, method)
    assert found.passed
    has_rules_for_it = composite not in ("none", "guided_backprop")
    is_by_zennit = name in BY_ZENNIT and has_rules_for_it
    if name == "a hook of a relu":
        is_by_zennit = composite not in ("none", "excitation_backprop")  # no rules for it
    assert explainer.prepare(method).engine == ("zennit" if is_by_zennit else "twin")


def test_every_layer_that_is_listed_has_relevance(explainer: Explainer) -> None:
    layers = explainer.network.describe_layers(IMAGES)
    assert len(layers) > 3
    for layer in layers:
        method = make_method("epsilon_plus", "gradient", {}, layer=layer.name)
        found = explainer.explain(IMAGES, [OutputRelevance.predicted(2)], method)
        assert found.relevances[0].shape[1:] == layer.shape


@pytest.mark.parametrize(
    ("name", "absent"),
    [
        ("dead code", "unused"),
        ("a branch from a parameter", "conv#2"),
        ("several outputs", "attention"),
        ("indices", "pool"),
    ],
)
def test_what_has_no_relevance_to_ask_for_is_no_layer(name: str, absent: str) -> None:
    layers = make_explainer(unusual(name), torch.float64).network.layers
    assert "stem" in layers
    assert absent not in layers


class Again(nn.Module):
    """Cannot be traced; uses what it is told to twice."""

    def __init__(self, *, is_reused: bool) -> None:
        super().__init__()
        self.is_reused = is_reused
        self.conv, self.head = nn.Conv2d(3, 3, 3, padding=1), nn.Linear(3, 5)

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits."""
        x = self.conv(images)
        if x.sum() < 1e9 and self.is_reused:
            x = self.conv(x)
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits


@pytest.mark.parametrize("is_reused", [False, True])
def test_rules_are_refused_where_zennit_would_be_wrong_and_nobody_would_see(
    is_reused: bool,
) -> None:
    torch.manual_seed(0)
    explainer = make_explainer(settle(Again(is_reused=is_reused)), torch.float64)
    explainer.network.describe_layers(IMAGES)
    plain, ruled = (make_method(name, "gradient", {}) for name in ("none", "epsilon_plus"))
    assert explainer.network.graph is None
    assert explainer.network.reused == (("conv",) if is_reused else ())
    assert check(explainer, IMAGES, plain).engine == "zennit"
    if not is_reused:
        assert check(explainer, IMAGES, ruled).engine == "zennit"
        return
    with pytest.raises(OptionError, match=r"must be none: .* uses conv more than once"):
        explainer.explain(IMAGES, [OutputRelevance.predicted(2)], ruled)


def test_counting_uses_leaves_no_hook() -> None:
    model = settle(Again(is_reused=True)).double()
    assert used_more_than_once(model, IMAGES) == ("conv",)
    assert not any(module._forward_hooks for module in model.modules())
