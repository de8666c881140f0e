"""The twin: a network with a rule in place of each layer's gradient, on the same weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, fx, nn

from service.lrp.affine import affine_map
from service.lrp.affine_rules import AFFINE_RULES, Place
from service.lrp.assign import Rules
from service.lrp.graph import logits_of, module_of, non_negative, vanishing
from service.lrp.layers import AvgPool, Linear, Sum
from service.lrp.other_rules import ELEMENTWISE_RULES, NormPool, NormSum
from service.lrp.weights import ModifiedWeights

Box = tuple[Tensor, Tensor]


class NoTwinError(Exception):
    """A layer has no twin rule."""


def make_twin(
    network: fx.GraphModule, rules: Rules, weights: ModifiedWeights, box: Box
) -> fx.GraphModule:
    """Replace each layer that has a rule; everything else is shared with the network.

    Parameters
    ----------
    network : fx.GraphModule
        Canonized.
    rules : mapping of str to Assignment
        By names of layers.
    weights : ModifiedWeights
        Of the network.
    box : tuple of 2 Tensor
        The lowest and the highest value of the network's input, shape (1, C, 1, 1).

    Raises
    ------
    NoTwinError
        A layer has no twin rule.
    """
    names = {name: assignment.rule for name, assignment in rules.items()}
    at_least_zero = non_negative(network)
    _, below_zero = vanishing(network, names)
    modules: dict[str, Any] = {}
    for node in network.graph.nodes:
        if node.op == "get_attr":
            modules[node.target] = _attribute(network, node.target)
        if (layer := module_of(network, node)) is None:
            continue
        name = str(node.target)
        if name not in rules:
            modules[name] = layer
            continue
        is_non_negative = node.args[0] in at_least_zero
        values = dict(rules[name].values)
        modules[name] = (
            _make_affine(
                layer, names[name], values, weights, box, is_non_negative, node in below_zero
            )
            if isinstance(layer, Linear)
            else _make_other(layer, names[name], values)
        )
    return fx.GraphModule(modules, network.graph).eval()


def _attribute(network: nn.Module, target: str) -> Any:
    value: Any = network
    for part in target.split("."):
        value = getattr(value, part)
    return value


def _make_affine(
    layer: nn.Module,
    rule: str,
    values: Mapping[str, Any],
    weights: ModifiedWeights,
    box: Box,
    is_non_negative: bool,
    vanishes_below_zero: bool,
) -> nn.Module:
    affine = affine_map(layer)
    if affine is None:
        raise NoTwinError(f"a {type(layer).__name__} has no twin rule")
    place = Place(affine, weights, is_non_negative, vanishes_below_zero, box)
    return AFFINE_RULES[rule](layer, place, values)


def _make_other(layer: nn.Module, rule: str, values: Mapping[str, Any]) -> nn.Module:
    if rule == "norm" and isinstance(layer, Sum):
        return NormSum(layer, values)
    if rule == "norm" and isinstance(layer, AvgPool):
        return NormPool(layer, values)
    return ELEMENTWISE_RULES[rule](layer, values)


def with_taps(network: fx.GraphModule, taps: Sequence[fx.Node]) -> fx.GraphModule:
    """Make a network return `(logits, values of the taps)`; its modules stay the same.

    Parameters
    ----------
    network : fx.GraphModule
        With the graph that the taps are nodes of, or one like it.
    taps : sequence of fx.Node
        Whose values are returned as a tuple.
    """
    copies: dict[fx.Node, fx.Node] = {}
    graph = fx.Graph()
    graph.graph_copy(network.graph, copies)
    by_name = {node.name: copy for node, copy in copies.items()}
    logits = copies[logits_of(network.graph)]
    graph.output((logits, tuple(by_name[tap.name] for tap in taps)))
    return fx.GraphModule(network, graph).eval()
