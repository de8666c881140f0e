"""The twin: a network with a rule in place of each layer's gradient, on the same weights."""

from __future__ import annotations

import linecache
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, fx, nn

from service.lrp.network.analysis import logits_of, module_of, non_negative, vanishing
from service.lrp.network.layers import AvgPool, Linear, Sum, is_altered, is_as_known
from service.lrp.rules.assignment import Rules
from service.lrp.rules.base import LayerContext, LinearRule
from service.lrp.rules.elementwise_rules import ELEMENTWISE_RULES, NormPool, NormSum
from service.lrp.rules.linear_map import LinearMap, make_linear_map
from service.lrp.rules.linear_rules import LINEAR_RULES
from service.lrp.rules.modified_weights import ModifiedWeights
from service.methods import Assignment

Box = tuple[Tensor, Tensor]
# the sources of all graph modules, by their made-up file names: private, and so perhaps moved
_SOURCES: dict[str, str] = getattr(getattr(fx.graph_module, "_loader", None), "eval_cache", {})


class NoTwinError(Exception):
    """A layer has no twin rule."""


def make_twin(
    network: fx.GraphModule,
    rules: Rules,
    entries: Sequence[Assignment],
    weights: ModifiedWeights,
    box: Box,
) -> fx.GraphModule:
    """Replace each layer that has a rule; everything else is shared with the network.

    The twin takes images, and the stabilizers of all rule entries: of shape (N, entries), or
    (1, entries) where all images have the same.

    Parameters
    ----------
    network : fx.GraphModule
        Canonized.
    rules : mapping of str to Assignment
        By names of layers.
    entries : sequence of Assignment
        Those that the rules are from, in the order of the stabilizers.
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
    rectified = _rectified(network, names)
    modules: dict[str, Any] = {}
    for node in network.graph.nodes:
        name = str(node.target)
        if node.op == "get_attr":
            modules[name] = _attribute(network, name)
        if (layer := module_of(network, node)) is None:
            continue
        if name not in rules:
            modules[name] = layer
        elif node.args[0] in rectified:
            modules[name] = nn.Identity()
        elif isinstance(layer, Linear):
            context = LayerContext(
                _map_of(layer), weights, node.args[0] in at_least_zero, node in below_zero,
                node in rectified, entries.index(rules[name]), box,
            )  # fmt: skip
            modules[name] = LINEAR_RULES[names[name]](layer, context, dict(rules[name].values))
        else:
            modules[name] = _make_other(layer, rules[name], entries.index(rules[name]))
    graph = _with_stabilizers(network.graph, modules)
    return _graph_module(modules, graph)


def _with_stabilizers(graph: fx.Graph, modules: Mapping[str, Any]) -> fx.Graph:
    """Copy a graph, and give it stabilizers as a second input, for the rules that have some."""
    copied = fx.Graph()
    copied.output(copied.graph_copy(graph, {}))
    images = next(node for node in copied.nodes if node.op == "placeholder")
    with copied.inserting_after(images):
        stabilizers = copied.placeholder("stabilizers")
    for node in copied.nodes:
        if isinstance(modules.get(str(node.target)), (LinearRule, NormPool, NormSum)):
            node.args = (*node.args, stabilizers)
    return copied


def _rectified(network: fx.GraphModule, rules: Mapping[str, str]) -> set[fx.Node]:
    """Find the layers that can apply the ReLU after them.

    It saves a step in both directions, and half of the memory: rectifying in place is safe, as
    nothing else sees what the layer returned.
    """
    found = set()
    for node in network.graph.nodes:
        rule, users = rules.get(str(node.target)), list(node.users)
        if rule in LINEAR_RULES and len(users) == 1 and rules.get(str(users[0].target)) == "pass":
            is_linear = isinstance(module_of(network, node), Linear)
            relu = module_of(network, users[0])
            if is_linear and type(relu) is nn.ReLU and is_as_known(relu):
                found.add(node)
    return found


def _attribute(network: nn.Module, target: str) -> Any:
    value: Any = network
    for part in target.split("."):
        value = getattr(value, part)
    return value


def _map_of(layer: nn.Module) -> LinearMap:
    linear_map = make_linear_map(layer)
    if linear_map is None:
        raise NoTwinError(f"a {type(layer).__name__} has no twin rule")
    return linear_map


def _make_other(layer: nn.Module, assignment: Assignment, column: int) -> nn.Module:
    rule = assignment.rule
    if is_altered(layer):
        raise NoTwinError(f"a {type(layer).__name__} with hooks has no twin rule")
    if rule == "norm" and isinstance(layer, Sum):
        return NormSum(column)
    if rule == "norm" and isinstance(layer, AvgPool):
        return NormPool(layer, column)
    return ELEMENTWISE_RULES[rule](layer, dict(assignment.values))


def with_recorded_layers(
    network: fx.GraphModule, recorded_layers: Sequence[fx.Node]
) -> fx.GraphModule:
    """Make a network return `(logits, values of the recorded layers)`; its modules stay the same.

    Parameters
    ----------
    network : fx.GraphModule
        With the graph whose nodes the recorded layers are, or a copy of it.
    recorded_layers : sequence of fx.Node
        Whose values are returned as a tuple.
    """
    copies: dict[fx.Node, fx.Node] = {}
    graph = fx.Graph()
    graph.graph_copy(network.graph, copies)
    by_name = {node.name: copy for node, copy in copies.items()}
    logits = copies[logits_of(network.graph)]
    graph.output((logits, tuple(by_name[node.name] for node in recorded_layers)))
    return _graph_module(network, graph)


def _graph_module(modules: Mapping[str, Any] | nn.Module, graph: fx.Graph) -> fx.GraphModule:
    """Make a graph module of which nothing remains when it is dropped.

    torch keeps the source code of each for good, for error messages; rules of requests would add
    to it without end.
    """
    module = fx.GraphModule(modules, graph).eval()  # type: ignore[arg-type]  # a mapping will do
    graph.owning_module = None  # breaks a reference cycle: the module is freed at once
    source = type(module).forward.__code__.co_filename
    linecache.cache.pop(source, None)
    _SOURCES.pop(source, None)
    return module
