"""What is said of a network's graph holds for its values and its relevance, whatever the image."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, fx, nn

from service.lrp.assign import assign_rules
from service.lrp.canonize import canonize
from service.lrp.graph import (
    crossed_by_all,
    is_transparent,
    logits_of,
    non_negative,
    on_the_way,
    vanishing,
)
from service.lrp.starts import Start
from service.lrp.twin import make_twin, with_taps
from service.lrp.weights import ModifiedWeights
from service.methods import make_method
from tests.lrp.networks import box, make_images, random_networks

COMPOSITES = ["epsilon_plus", "epsilon_plus_flat", "epsilon_alpha2_beta1", "epsilon_gamma_box"]
SAME = pytest.mark.filterwarnings("ignore:Using padding=.same. with even kernel lengths")
A_FEW = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


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
    """What nodes call, in their order."""
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


def test_what_a_relu_gives_stays_non_negative_through_pools_sums_and_moves(
    branches: fx.GraphModule,
) -> None:
    found = non_negative(branches)
    known = [name for name in names(branches.graph.nodes) if name in names(found)]
    assert known == ["relu", "pool", "relu#2", "sum"]


@SAME
@A_FEW
@given(network=random_networks(), seed=st.integers(0, 99))
def test_a_value_that_cannot_be_negative_is_not(network: nn.Module, seed: int) -> None:
    graph = canonize(network)
    values = Values(graph)
    values.run(make_images(2, 20, torch.float64, seed))
    for node in non_negative(graph):
        assert values.values[node].min() >= 0


# --- vanishing


def test_relevance_vanishes_before_a_relu_if_it_does_after_it(branches: fx.GraphModule) -> None:
    rules = {
        "left": "zplus",
        "left#2": "zplus",
        "sum": "norm",
        "average": "norm",
        "head": "epsilon",
    }
    at_zero, below_zero = vanishing(branches, rules | {"relu": "pass", "relu#2": "pass"})
    assert names(sorted(below_zero)) == ["stem", "left"]
    assert {"pool", "relu", "relu#2", "average"} <= set(names(at_zero))
    _, with_flat = vanishing(branches, rules | {"left": "flat"})
    assert names(sorted(with_flat)) == ["left"]  # the flat rule gives to zeros too


@SAME
@A_FEW
@given(network=random_networks(), name=st.sampled_from(COMPOSITES), seed=st.integers(0, 99))
def test_what_gets_no_relevance_at_zero_or_below_gets_none(
    network: nn.Module, name: str, seed: int
) -> None:
    graph = canonize(network)
    rules = assign_rules(graph, make_method(name, "gradient", {}))
    sets = vanishing(graph, {layer: one.rule for layer, one in rules.items()})
    taps = [node for node in graph.graph.nodes if node in sets[0] | sets[1]]
    taps = [node for node in taps if node.op != "placeholder"]
    twin = make_twin(graph, rules, ModifiedWeights(), box(torch.float64))
    images = make_images(2, 20, torch.float64, seed).requires_grad_()
    values = Values(graph)
    values.run(images.detach())
    logits, tapped = with_taps(twin, taps)(images)
    start = Start.predicted(2).relevance(logits.detach())
    arrived = torch.autograd.grad(logits, tapped, start, materialize_grads=True)
    for node, relevance in zip(taps, arrived, strict=True):
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
    class Aside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.aside = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1)
            self.start = nn.Parameter(torch.ones(1, 4, 1, 1))

        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = (self.conv(images) + self.aside(self.start)).mean((2, 3))
            return logits

    graph = canonize(Aside()).graph
    assert names(on_the_way(graph)) == ["images", "conv", "sum", "mean"]
    assert logits_of(graph).target == "mean"


def test_what_only_moves_values_or_picks_the_winner_is_transparent(
    branches: fx.GraphModule,
) -> None:
    transparent = [n for n in branches.graph.nodes if is_transparent(branches, n)]
    assert names(transparent)[0] == "pool"
    assert [n.op for n in transparent] == [
        "call_module",
        "call_function",
        "call_method",
        "call_module",
    ]
    assert names(transparent)[-2:] == ["flatten", "drop"]
