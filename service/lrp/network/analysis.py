"""Properties of a canonized network that follow from its graph alone."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

from service.lrp.network.layers import (
    NON_NEGATIVE,
    NUMBER_METHODS,
    RECTIFIERS,
    TRANSPARENT,
    AvgPool,
    MaxPool,
    Sum,
    is_as_known,
)

# functions and methods that only move values about
_MOVES = {
    torch.flatten,
    torch.reshape,
    torch.squeeze,
    torch.unsqueeze,
    torch.permute,
    torch.transpose,
    torch.clone,
    functional.dropout,
    functional.dropout1d,
    functional.dropout2d,
    functional.dropout3d,
    "flatten",
    "reshape",
    "reshape_as",
    "view",
    "squeeze",
    "unsqueeze",
    "permute",
    "transpose",
    "contiguous",
    "clone",
}
_MAX_POOLS = {functional.max_pool1d, functional.max_pool2d, functional.max_pool3d, torch.max_pool2d}
_SHAPES = {getattr, operator.getitem, *NUMBER_METHODS}  # these give no tensor that has relevance
# rules whose relevance is a multiple of the input: an input of 0 gets none
PROPORTIONAL = frozenset({"epsilon", "gamma", "zplus", "alpha_beta", "norm"})


def module_of(network: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    """The module that a node calls; None if it calls something else."""
    return network.get_submodule(str(node.target)) if node.op == "call_module" else None


def is_transparent(network: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a plain gradient through a node propagates relevance correctly."""
    module = module_of(network, node)
    if module is not None:
        return isinstance(module, (*TRANSPARENT, MaxPool))
    return node.target in _MOVES | _MAX_POOLS | _SHAPES or node.target in (torch.cat, "cat")


def non_negative(network: fx.GraphModule) -> set[fx.Node]:
    """Find the nodes whose values cannot be below zero, whatever the image."""
    found: set[fx.Node] = set()
    for node in network.graph.nodes:
        if _is_non_negative(network, node, found):
            found.add(node)
    return found


def _is_non_negative(network: fx.GraphModule, node: fx.Node, found: set[fx.Node]) -> bool:
    module = module_of(network, node)
    if module is not None and not is_as_known(module):
        return False
    if isinstance(module, NON_NEGATIVE):
        return True
    keeps = isinstance(module, (*TRANSPARENT, MaxPool, AvgPool, Sum))
    keeps = keeps or (node.op.startswith("call_") and node.target in _MOVES | _MAX_POOLS)
    return keeps and all(source in found for source in node.all_input_nodes)


def vanishing(
    network: fx.GraphModule, rules: Mapping[str, str]
) -> tuple[set[fx.Node], set[fx.Node]]:
    """Find the nodes that get no relevance where their value is zero, and where it is not above.

    Parameters
    ----------
    network : fx.GraphModule
        Canonized.
    rules : mapping of str to str
        Names of rules by names of layers; those without pass a plain gradient.

    Returns
    -------
    at_zero, below_zero : set of fx.Node
        `below_zero` holds those that get none where their value is zero or negative.
    """
    at_zero: set[fx.Node] = set()
    below_zero: set[fx.Node] = set()
    for node in reversed(network.graph.nodes):
        uses = [_Use(network, user, rules) for user in node.users]
        if not uses:
            continue
        if all(u.is_proportional or (u.is_passing and u.node in at_zero) for u in uses):
            at_zero.add(node)
        if all(
            (u.is_rectifying and u.node in at_zero) or (u.is_moving and u.node in below_zero)
            for u in uses
        ):
            below_zero.add(node)
    return at_zero, below_zero


class _Use:
    """How the relevance of a node depends on that of a node that uses it."""

    def __init__(self, network: fx.GraphModule, node: fx.Node, rules: Mapping[str, str]) -> None:
        self.node = node
        module, rule = module_of(network, node), rules.get(str(node.target))
        self.is_proportional = rule in PROPORTIONAL
        is_known = module is None or is_as_known(module)
        is_relu = isinstance(module, RECTIFIERS) and is_known
        self.is_rectifying = is_relu and rule in (None, "gradient", "pass")
        self.is_moving = (rule is None and is_known) and (
            isinstance(module, (*TRANSPARENT, MaxPool)) or node.target in _MOVES | _MAX_POOLS
        )
        self.is_passing = self.is_moving or self.is_rectifying


def crossed_by_all(graph: fx.Graph) -> Iterator[fx.Node]:
    """Find the nodes that every path from the image to the logits crosses, in order.

    In any order of computation these are the nodes that no edge leads past.
    """
    nodes = on_the_way(graph)
    position = {node: index for index, node in enumerate(nodes)}
    reach = 0  # the furthest position that an edge from before leads to
    for index, node in enumerate(nodes):
        if reach <= index:
            yield node
        ends = [position[user] for user in node.users if user in position]
        reach = max([reach, *ends])


def on_the_way(graph: fx.Graph) -> list[fx.Node]:
    """The nodes on any path from the image to the logits, in order."""
    from_image = _closure((node for node in graph.nodes if node.op == "placeholder"), "users")
    to_logits = _closure([logits_of(graph)], "all_input_nodes")
    return [node for node in graph.nodes if node in from_image and node in to_logits]


def _closure(start: Iterable[fx.Node], direction: str) -> set[fx.Node]:
    found: set[fx.Node] = set()
    waiting = list(start)
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting.extend(getattr(node, direction))
    return found


def logits_of(graph: fx.Graph) -> fx.Node:
    """The node whose value is the network's output."""
    output: Any = next(iter(reversed(graph.nodes))).args[0]
    return output  # type: ignore[no-any-return]
