"""What is said of a network's graph holds for its values and its relevance, whatever the image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, fx, nn
from torch.nn import functional

from service.lrp.attribution.output_relevance import OutputRelevance
from service.lrp.network.analysis import (
    crossed_by_all,
    is_transparent,
    logits_of,
    non_negative,
    on_the_way,
    vanishing,
)
from service.lrp.network.canonize import canonize
from service.lrp.rules.assignment import assign_rules
from service.lrp.rules.modified_weights import ModifiedWeights
from service.lrp.twin import make_twin, with_recorded_layers
from service.methods import RULES, Assignment, make_method
from tests.lrp.networks import box, make_images, random_networks, settle

COMPOSITES = ["epsilon_plus", "epsilon_plus_flat", "epsilon_alpha2_beta1", "epsilon_gamma_box"]
SAME = pytest.mark.filterwarnings("ignore:Using padding=.same. with even kernel lengths")
SIDE = 85  # the smallest image of which any random convolutions and pools leave something
A_FEW = settings(max_examples=25, suppress_health_check=list(HealthCheck))


class Branches(nn.Module):
    """A stem, two branches of which one is skipped over, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.left = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.relu, self.pool, self.drop = nn.ReLU(), nn.MaxPool2d(2), nn.Dropout()
        self.average, self.head = nn.AdaptiveAvgPool2d(1), nn.Linear(8, 5)

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits."""
        x = self.pool(self.relu(self.stem(images)))
        y = self.relu(self.left(x)) + x
        both = torch.cat([y, self.left(x)], 1)
        logits: Tensor = self.head(self.drop(self.average(both).flatten(1)))
        return logits


@pytest.fixture
def branches() -> fx.GraphModule:
    torch.manual_seed(0)
    return canonize(Branches())


def names(nodes: Any) -> list[str]:
    return [str(node.target) for node in nodes]


class Values(fx.Interpreter):
    """Keeps what each node computes."""

    def __init__(self, network: fx.GraphModule) -> None:
        super().__init__(network)
        self.values: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        """Compute a node."""
        self.values[n] = super().run_node(n)
        return self.values[n]


# --- non_negative


def test_sums_and_max_pools_of_relus_are_non_negative(branches: fx.GraphModule) -> None:
    found = non_negative(branches)
    known = [name for name in names(branches.graph.nodes) if name in names(found)]
    assert known == ["relu", "pool", "relu#2", "sum"]


def last_is_non_negative(model: nn.Module) -> bool:
    network = canonize(model)
    return logits_of(network.graph) in non_negative(network)


@pytest.mark.parametrize(
    ("layer", "wanted"),
    [
        *((kind(), True) for kind in (nn.ReLU, nn.ReLU6, nn.Sigmoid, nn.Softplus, nn.Hardsigmoid)),
        *((kind(), False) for kind in (nn.LeakyReLU, nn.ELU, nn.Tanh)),
        *((nn.Softmax(1), True), (nn.Sequential(nn.ReLU(), nn.Conv2d(4, 4, 1)), False)),
    ],
    ids=str,
)
def test_only_some_layers_make_all_non_negative(layer: nn.Module, wanted: bool) -> None:
    assert last_is_non_negative(nn.Sequential(nn.Conv2d(3, 4, 3), layer)) is wanted


KEEPING = (nn.MaxPool2d(2), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout())


@pytest.mark.parametrize("layer", KEEPING, ids=str)
def test_a_layer_that_keeps_the_sign_is_as_non_negative_as_its_input(layer: nn.Module) -> None:
    assert last_is_non_negative(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), layer))
    assert not last_is_non_negative(nn.Sequential(nn.Conv2d(3, 4, 3), layer))


class Step(nn.Module):
    """A convolution, and what a function makes of its positive part and of itself."""

    def __init__(self, step: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.step, self.conv, self.relu = step, nn.Conv2d(3, 4, 3), nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        """Compute what the function gives."""
        y = self.conv(images)
        return self.step(self.relu(y), y)


# whether the result cannot be negative, and whether all that is done is transparent
STEPS: list[tuple[Callable[[Tensor, Tensor], Tensor], bool, bool]] = [
    (lambda x, y: x + torch.relu(-y), True, False),
    (lambda x, y: x + y, False, False),
    (lambda x, y: x * -1, False, False),
    (lambda x, y: torch.flatten(x, 1), True, True),
    (lambda x, y: x.reshape(x.shape[0], x.size(1), -1), False, True),  # not known of sizes
    (lambda x, y: functional.dropout(x, training=False), True, True),
    (lambda x, y: functional.max_pool2d(x, 2), True, True),
    (lambda x, y: functional.max_pool2d(y, 2), False, True),
    (lambda x, y: torch.cat([x, y], 1), False, True),
]


@pytest.mark.parametrize(("step", "is_non_negative", "has_only_transparent"), STEPS)
def test_a_function_is_known_by_what_it_does_to_values(
    step: Callable[[Tensor, Tensor], Tensor], is_non_negative: bool, has_only_transparent: bool
) -> None:
    assert last_is_non_negative(Step(step)) is is_non_negative
    graph = canonize(Step(step))
    calls = [node for node in graph.graph.nodes if node.op.startswith("call_")]
    own = [node for node in calls if node.target not in ("conv", "relu")]
    assert own
    assert all(is_transparent(graph, node) for node in own) is has_only_transparent


@SAME
@A_FEW
@given(network=random_networks(), seed=st.integers(0, 99))
def test_a_value_that_cannot_be_negative_is_not(network: nn.Module, seed: int) -> None:
    graph = canonize(network)
    values = Values(graph)
    values.run(make_images(2, SIDE, torch.float64, seed))
    for node in non_negative(graph):
        assert values.values[node].min() >= 0


# --- vanishing


def network_of(*layers: nn.Module) -> fx.GraphModule:
    torch.manual_seed(0)
    return canonize(settle(nn.Sequential(nn.Conv2d(3, 3, 3), *layers)).double())


def tiny(n: int) -> Tensor:
    """Stabilizers of `n` rule entries."""
    return torch.full((1, n), 1e-6, dtype=torch.float64)


def gets_none(
    network: fx.GraphModule, rules: dict[str, str], layer: str, *, below: bool
) -> tuple[bool, bool]:
    """Whether a layer gets no relevance where it is zero, or not above: as said, and in numbers."""
    (node,) = (node for node in network.graph.nodes if node.target == layer)
    given = {name: Assignment(name, rule).resolve({}) for name, rule in rules.items()}
    entries = list(given.values())
    twin = make_twin(network, given, entries, ModifiedWeights(), box(torch.float64))
    images = make_images(2, 8, torch.float64).requires_grad_()
    logits, tapped = with_recorded_layers(twin, [node])(images, tiny(len(entries)))
    (relevance,) = torch.autograd.grad(logits, tapped, logits.detach())
    is_there = tapped[0] <= 0 if below else tapped[0] == 0
    assert is_there.any()
    return node in vanishing(network, rules)[below], not relevance[is_there].any()


@pytest.mark.parametrize(
    "rule", [name for name, rule in RULES.items() if rule.affects in ("affine", "averaging")]
)
def test_only_rules_that_multiply_by_the_input_give_nothing_to_zeros(rule: str) -> None:
    network = network_of(nn.ReLU(), nn.Dropout(), nn.Conv2d(3, 5, 1))
    for layer, below in (("1", False), ("0", True)):
        said, found = gets_none(network, {"1": "pass", "3": rule}, layer, below=below)
        assert said is found


@pytest.mark.parametrize(
    ("layer", "rule", "at_zero", "below_zero"),
    [
        (nn.MaxPool2d(3, 1, 1), None, True, True),
        (nn.Flatten(1, 2), None, True, True),
        (nn.Dropout(), None, True, True),
        (nn.ReLU(), None, True, True),
        (nn.ReLU(), "pass", True, True),
        (nn.AvgPool2d(3, 1, 1), "norm", True, False),
        (nn.AvgPool2d(3, 1, 1), None, False, False),
        (nn.Sigmoid(), "pass", False, False),
    ],
    ids=str,
)
def test_a_layer_in_between_hands_zeros_on_or_not(
    layer: nn.Module, rule: str | None, at_zero: bool, below_zero: bool
) -> None:
    own = {} if rule is None else {"2": rule}
    after = network_of(nn.ReLU(), layer, nn.Linear(6, 5))
    assert gets_none(after, own | {"3": "epsilon"}, "1", below=False) == (at_zero, at_zero)
    own = {} if rule is None else {"1": rule}
    before = network_of(layer, nn.ReLU(), nn.Linear(6, 5))
    rules = own | {"2": "pass", "3": "epsilon"}
    assert gets_none(before, rules, "0", below=True) == (below_zero, below_zero)


def test_one_use_that_gives_relevance_is_enough() -> None:
    rules = {"relu": "pass", "sum": "norm"}
    below = canonize(Step(lambda x, y: x + y).double())
    assert gets_none(below, rules, "conv", below=True) == (False, False)
    at_zero = canonize(Step(lambda x, y: x + torch.sigmoid(x)).double())
    assert gets_none(at_zero, rules, "relu", below=False) == (False, False)


@SAME
@A_FEW
@given(network=random_networks(), name=st.sampled_from(COMPOSITES), seed=st.integers(0, 99))
def test_what_gets_no_relevance_at_zero_or_below_gets_none(
    network: nn.Module, name: str, seed: int
) -> None:
    graph = canonize(network)
    method = make_method(name, "gradient", {})
    rules = assign_rules(graph, method)
    sets = vanishing(graph, {layer: one.rule for layer, one in rules.items()})
    recorded_layers = [node for node in graph.graph.nodes if node in sets[0] | sets[1]]
    recorded_layers = [node for node in recorded_layers if node.op != "placeholder"]
    twin = make_twin(graph, rules, method.rules, ModifiedWeights(), box(torch.float64))
    images = make_images(2, SIDE, torch.float64, seed).requires_grad_()
    values = Values(graph)
    values.run(images.detach())
    stabilizers = tiny(len(method.rules))
    logits, tapped = with_recorded_layers(twin, recorded_layers)(images, stabilizers)
    start = OutputRelevance.predicted(2).relevance(logits.detach())
    arrived = torch.autograd.grad(logits, tapped, start, materialize_grads=True)
    for node, relevance in zip(recorded_layers, arrived, strict=True):
        value = values.values[node]
        is_without = value <= 0 if node in sets[1] else value == 0
        assert relevance[is_without].abs().sum() == 0


# --- crossed_by_all


def test_all_paths_cross_what_is_not_in_a_branch(branches: fx.GraphModule) -> None:
    crossed = names(crossed_by_all(branches.graph))
    assert crossed[:4] == ["images", "stem", "relu", "pool"]
    assert crossed[-3:] == ["flatten", "drop", "head"]
    assert not {"left", "left#2", "relu#2", "sum"} & set(crossed)


def is_reached_without(graph: fx.Graph, avoided: fx.Node) -> bool:
    """Whether the logits can be reached from the image by a path around a node."""
    goal, waiting, seen = logits_of(graph), [next(iter(graph.nodes))], set()
    while waiting:
        node = waiting.pop()
        if node is avoided or node in seen:
            continue
        if node is goal:
            return True
        seen.add(node)
        waiting.extend(node.users)
    return False


@SAME
@A_FEW
@given(network=random_networks())
def test_a_node_is_crossed_by_all_paths_if_there_is_none_around_it(network: nn.Module) -> None:
    graph = canonize(network).graph
    crossed = list(crossed_by_all(graph))
    wanted = [node for node in on_the_way(graph) if not is_reached_without(graph, node)]
    assert crossed == wanted


# --- the rest


def test_only_what_is_between_the_image_and_the_logits_is_on_the_way() -> None:
    graph = canonize(Step(lambda x, y: (y + torch.ones(4, 1, 1)).mean((2, 3)))).graph
    assert names(on_the_way(graph)) == ["images", "conv", "sum", "mean"]
    assert logits_of(graph).target == "mean"


def test_what_moves_values_or_picks_winners_is_transparent(branches: fx.GraphModule) -> None:
    transparent = [n for n in branches.graph.nodes if is_transparent(branches, n)]
    assert [node.name for node in transparent] == ["pool", "cat", "flatten", "drop"]
