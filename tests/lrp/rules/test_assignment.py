"""Which layer gets which rule: the first entry that matches, as zennit's own composites do it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, fx, nn
from zennit import composites as zennit_composites
from zennit import rules as zennit_rules
from zennit.layer import Sum as ZennitSum

from service.errors import OptionError
from service.lrp.network.analysis import module_of
from service.lrp.network.canonize import canonize
from service.lrp.network.layers import Sum
from service.lrp.rules.assignment import (
    assign_rules,
    default_start,
    default_start_untraced,
    layers_without_rule,
)
from service.methods import COMPOSITES, PLAIN, TYPES, Method, make_method, parse_rules
from tests.lrp.networks import SIDES, architecture, random_networks
from tests.lrp.unusual import unusual

RULE_OF_HOOK = {
    zennit_rules.Epsilon: "epsilon",
    zennit_rules.ZPlus: "zplus",
    zennit_rules.AlphaBeta: "alpha_beta",
    zennit_rules.Gamma: "gamma",
    zennit_rules.ZBox: "zbox",
    zennit_rules.Flat: "flat",
    zennit_rules.Norm: "norm",
    zennit_rules.Pass: "pass",
    zennit_rules.ReLUDeconvNet: "relu_deconvnet",
    zennit_rules.ReLUGuidedBackprop: "relu_guided_backprop",
    zennit_rules.ReLUBetaSmooth: "relu_beta_smooth",
}


class Every(nn.Module):
    """A layer of every type."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.body = nn.ModuleList([nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)])
        self.relu, self.elu = nn.ReLU(), nn.ELU()
        self.average = nn.AvgPool2d(2)
        self.heads = nn.ModuleDict({"a[0]": nn.Linear(4, 4), "b": nn.Linear(4, 2)})

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits."""
        x = self.relu(self.body[0](self.norm(images)))
        x = self.average(self.elu(self.body[1](x)) + x)
        logits: Tensor = self.heads["b"](self.heads["a[0]"](x.mean((2, 3))))
        return logits


@pytest.fixture(scope="module")
def network() -> fx.GraphModule:
    return canonize(Every())


def custom(*entries: dict[str, Any]) -> Method:
    return make_method(parse_rules(list(entries)), "gradient", {})


def assigned(network: fx.GraphModule, method: Method) -> dict[str, str]:
    return {name: one.rule for name, one in assign_rules(network, method).items()}


BODY, HEADS = ["body.0", "body.1"], ["heads.a[0]", "heads.b"]
OF_TYPE = {
    "type:convolution": ("epsilon", BODY),
    "type:dense": ("epsilon", HEADS),
    "type:linear": ("epsilon", [*BODY, *HEADS]),
    "type:activation": ("pass", ["relu", "elu"]),
    "type:relu": ("pass", ["relu"]),
    "type:batch_norm": ("pass", ["norm"]),
    "type:avg_pool": ("norm", ["average"]),
    "type:sum": ("norm", ["sum"]),
    "first:convolution": ("epsilon", BODY[:1]),
    "first:linear": ("epsilon", BODY[:1]),
}


@pytest.mark.parametrize("pattern", TYPES)
def test_a_type_matches_its_layers(network: fx.GraphModule, pattern: str) -> None:
    rule, layers = OF_TYPE[pattern]
    found = assigned(network, custom({"layers": pattern, "rule": rule}))
    assert found == dict.fromkeys(layers, rule)


@pytest.mark.parametrize(
    ("pattern", "layers"),
    [
        ("body.0", BODY[:1]),
        ("body.*", BODY),
        ("body.?", BODY),
        ("heads.a[0]", HEADS[:1]),
        ("*", [*BODY, *HEADS]),
    ],
)
def test_a_name_matches_and_only_stars_and_question_marks_stand_for_others(
    network: fx.GraphModule, pattern: str, layers: list[str]
) -> None:
    found = assigned(network, custom({"layers": pattern, "rule": "epsilon"}))
    assert list(found) == layers


def test_the_first_entry_that_fits_wins(network: fx.GraphModule) -> None:
    method = custom(
        {"layers": "body.0", "rule": "flat"},
        {"layers": "*", "rule": "relu_deconvnet"},  # fits the ReLU alone
        {"layers": "*", "rule": "pass"},
    )
    found = assigned(network, method)
    assert (found["body.0"], found["relu"], found["elu"]) == ("flat", "relu_deconvnet", "pass")
    assert not {"body.1", "average"} & set(found)


def test_the_rule_gradient_takes_a_layer_out(network: fx.GraphModule) -> None:
    method = custom(
        {"layers": "body.1", "rule": "gradient"}, {"layers": "type:linear", "rule": "epsilon"}
    )
    assert list(assigned(network, method)) == ["body.0", *HEADS]


def test_what_has_no_rule_is_named_in_its_order(network: fx.GraphModule) -> None:
    method = custom({"layers": "body.0", "rule": "zplus"}, {"layers": "heads.b", "rule": "epsilon"})
    found = layers_without_rule(network, assign_rules(network, method), method)
    assert found == ("norm", "body.1", "sum", "average", "mean", "heads.a[0]")


def test_a_method_without_rules_has_nothing_unruled(network: fx.GraphModule) -> None:
    method = make_method(None, "integrated_gradients", {})
    assert method.conserves
    assert layers_without_rule(network, {}, method) == ()


class Functions(nn.Module):
    """Calls functions, some of them twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.pool = nn.Conv2d(3, 4, 3), nn.MaxPool2d(2)

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits."""
        x = torch.exp(self.pool(self.conv(images))).abs()
        return torch.flatten(x.neg(), 1).abs()


def test_functions_have_no_rule_either_and_those_that_need_none_are_not_named() -> None:
    method = custom({"layers": "conv", "rule": "zplus"})
    graph = canonize(Functions())
    assert layers_without_rule(graph, assign_rules(graph, method), method) == ("exp", "abs", "neg")


CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose3d)


@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_a_convolution_is_one_in_any_number_of_dimensions(kind: type[nn.Module]) -> None:
    plain = canonize(nn.Sequential(kind(3, 4, 2), nn.Flatten(), nn.Linear(12, 2)))
    method = custom({"layers": "type:convolution", "rule": "zplus"})
    assert assigned(plain, method) == {"0": "zplus"}


def test_what_takes_several_tensors_is_a_layer_only_if_it_is_a_sum(
    network: fx.GraphModule,
) -> None:
    several = canonize(unusual("several outputs"))
    everywhere = custom({"layers": "*", "rule": "pass"}, {"layers": "*", "rule": "norm"})
    assert assigned(several, everywhere) == {
        **dict.fromkeys(["stem", "head"], "norm"),
        "relu": "pass",
    }
    assert assigned(network, everywhere)["sum"] == "norm"


def test_the_rule_norm_is_for_what_averages_and_for_weights(network: fx.GraphModule) -> None:
    found = assigned(network, custom({"layers": "*", "rule": "norm"}))
    assert list(found) == ["body.0", "body.1", "sum", "average", *HEADS]


def test_an_error_tells_which_entry_it_was_and_not_all_layers() -> None:
    long = canonize(nn.Sequential(*(nn.ReLU() for _ in range(25))))
    good, bad = {"layers": "*", "rule": "pass"}, {"layers": "nose", "rule": "pass"}
    with pytest.raises(OptionError, match=r"entry 2: no layer is called nose; .* 18, 19, \.\.\.$"):
        assign_rules(long, custom(good, bad))


@pytest.mark.parametrize(
    ("layers", "rule", "said"),
    [
        ("nose", "epsilon", "entry 1: no layer is called nose; there are: norm, body.0"),
        ("body[.]0", "epsilon", "entry 1: no layer is called body[.]0"),
        ("relu", "epsilon", "entry 1: the rule epsilon cannot be given to relu, a ReLU"),
        ("type:dense", "relu_deconvnet", "cannot be given to heads.a[0], a Linear"),
        ("body.1", "zbox", "zbox is for the layer that sees the image, not body.1"),
    ],
)
def test_an_entry_that_fits_nothing_is_refused(
    network: fx.GraphModule, layers: str, rule: str, said: str
) -> None:
    with pytest.raises(OptionError) as refused:
        assign_rules(network, custom({"layers": layers, "rule": rule}))
    assert said in refused.value.detail


def test_a_type_that_the_network_does_not_have_is_none_of_its_business() -> None:
    plain = canonize(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)))
    method = custom({"layers": "type:sum", "rule": "norm"}, {"layers": "1", "rule": "epsilon"})
    assert assigned(plain, method) == {"1": "epsilon"}


# the box is for a convolution that sees the image: here a batch norm does
@pytest.mark.parametrize("composite", [name for name in COMPOSITES if "box" not in name])
def test_only_methods_that_conserve_have_something_unruled(
    network: fx.GraphModule, composite: str
) -> None:
    method = make_method(composite, "gradient", {})
    found = layers_without_rule(network, assign_rules(network, method), method)
    assert bool(found) is method.conserves
    assert not method.conserves or "mean" in found


def by_zennit(network: fx.GraphModule, name: str) -> dict[str, str]:
    """What zennit's own composite gives to layers in the order in which they are called."""
    if name == PLAIN:
        return {}
    box = {"low": torch.zeros(1), "high": torch.ones(1)} if "box" in name else {}
    own, seen = zennit_composites.COMPOSITES[name](**box), dict[str, Any]()
    found: dict[str, str] = {}
    for node in network.graph.nodes:
        module = module_of(network, node)
        hook = own.module_map(seen, node.name, ZennitSum() if isinstance(module, Sum) else module)
        if module is not None and hook is not None:
            found[str(node.target)] = RULE_OF_HOOK[type(hook)]
    return found


@pytest.mark.parametrize("composite", COMPOSITES)
@pytest.mark.parametrize("name", SIDES)
def test_it_is_as_zennits_own_composite_has_it(name: str, composite: str) -> None:
    network = canonize(architecture(name))
    found = assigned(network, make_method(composite, "gradient", {}))
    assert found == by_zennit(network, composite)


@pytest.mark.filterwarnings("ignore:Using padding=.same. with even kernel lengths")
@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(model=random_networks(), composite=st.sampled_from(list(COMPOSITES)))
def test_it_is_as_zennit_has_it_on_any_small_network(model: nn.Module, composite: str) -> None:
    network = canonize(model)
    found = assigned(network, make_method(composite, "gradient", {}))
    assert found == by_zennit(network, composite)


# --- the default start


def default_of(network: nn.Module, *rules: tuple[str, str]) -> str:
    entries = [{"layers": layers, "rule": rule} for layers, rule in rules]
    method = make_method(parse_rules(entries), "gradient", {})
    graph = fx.symbolic_trace(network.eval())
    return default_start(graph, assign_rules(graph, method))


def headed(*layers: nn.Module) -> nn.Module:
    """A convolution, and what follows it."""
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), *layers)


@pytest.mark.parametrize("composite", COMPOSITES)
def test_the_default_start_of_a_composite_is_that_of_the_last_dense_layer(composite: str) -> None:
    network = headed(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))
    method = make_method(composite, "gradient", {})
    graph = fx.symbolic_trace(network)
    wanted = "logit" if composite.startswith("epsilon_") else "one_hot"
    assert default_start(graph, assign_rules(graph, method)) == wanted
    assert default_start_untraced(network, method) == wanted


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ("epsilon", "logit"),
        ("gamma", "logit"),
        ("zplus", "one_hot"),
        ("alpha_beta", "one_hot"),
        ("wsquare", "one_hot"),
        ("flat", "one_hot"),
        ("gradient", "one_hot"),
    ],
)
def test_the_last_layers_rule_decides(rule: str, wanted: str) -> None:
    network = headed(nn.Flatten(), nn.Linear(4 * 64, 5))
    others = "zplus" if wanted == "logit" else "epsilon"
    assert default_of(network, ("type:dense", rule), ("type:linear", others)) == wanted


def test_a_pool_at_the_end_has_a_rule_that_divides_by_its_output() -> None:
    network = headed(nn.Conv2d(4, 5, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    rules = ("type:convolution", "zplus")
    assert default_of(network, rules, ("type:avg_pool", "norm")) == "logit"
    assert default_of(network, rules) == "one_hot"


@pytest.mark.parametrize("last", [nn.Dropout(), nn.Identity(), nn.ReLU(), nn.Flatten()])
def test_what_keeps_the_sign_is_passed_on_the_way_to_the_last_layer(last: nn.Module) -> None:
    network = headed(nn.Flatten(), nn.Linear(4 * 64, 5), last)
    assert default_of(network, ("type:linear", "epsilon"), ("type:activation", "pass")) == "logit"


class TwoHeads(nn.Module):
    """Logits that two layers add up, or that they have side by side."""

    def __init__(self, *, is_sum: bool) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(12, 5), nn.Linear(12, 5)
        self.is_sum = is_sum

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits."""
        x = images.flatten(1)
        left, right = self.left(x), self.right(x)
        return left + right if self.is_sum else torch.cat([left, right], 1)


@pytest.mark.parametrize("is_sum", [True, False])
def test_one_of_several_last_layers_is_enough(is_sum: bool) -> None:
    network = TwoHeads(is_sum=is_sum)
    assert default_of(network, ("left", "zplus"), ("right", "epsilon")) == "logit"
    assert default_of(network, ("left", "zplus"), ("right", "flat")) == "one_hot"
