"""Assigns rules to the layers of a network."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torch import fx, nn
from zennit.types import Activation, AvgPool, BatchNorm, Convolution, Linear

from service.errors import OptionError, join_names
from service.lrp.network.analysis import is_transparent, logits_of, module_of
from service.lrp.network.layers import Sum
from service.methods import RULES, TYPES, Assignment, Method, Start
from service.text import shorten

Rules = dict[str, Assignment]

_KINDS: Mapping[str, tuple[Any, ...]] = {
    "convolution": (Convolution,),
    "dense": (nn.Linear,),
    "linear": (Linear,),
    "activation": (Activation,),
    "relu": (nn.ReLU,),
    "batch_norm": (BatchNorm,),
    "avg_pool": (AvgPool,),
    "sum": (Sum,),
}
_AFFECTED: Mapping[str, tuple[Any, ...]] = {
    "affine": (Linear,),
    "averaging": (AvgPool, Sum, Linear),
    "elementwise": (Activation, BatchNorm),
    "relu": (nn.ReLU,),
    "any": (nn.Module,),
}


def assign_rules(network: fx.GraphModule, method: Method) -> Rules:
    """Find the rule of each layer: the first entry that matches it.

    Parameters
    ----------
    network : fx.GraphModule
        Canonized.
    method : Method
        Its rules.

    Returns
    -------
    dict of str to Assignment
        By the layer's name; a layer without a rule, or with the rule `gradient`, is left out.

    Raises
    ------
    OptionError
        An entry of a custom composite names layers that are not there, or that the rule cannot be
        given to; or `zbox` is given to a layer that does not see the image.
    """
    layers = _layers(network)
    chosen: Rules = {}
    for number, assignment in enumerate(method.rules, 1):
        matching = list(_matching(assignment.layers, layers))
        fitting = [name for name in matching if _fits(assignment.rule, layers[name])]
        _check(number, assignment, matching, fitting, layers)
        for name in fitting:
            chosen.setdefault(name, assignment)
    _check_boxes(network, chosen)
    return {name: one for name, one in chosen.items() if one.rule != "gradient"}


def layers_without_rule(network: fx.GraphModule, rules: Rules, method: Method) -> tuple[str, ...]:
    """List layers and functions that pass a plain gradient though the method has rules."""
    if not method.conserves or not method.rules:
        return ()
    calls = [node for node in network.graph.nodes if node.op.startswith("call_")]
    names = [
        _name(node)
        for node in calls
        if _name(node) not in rules
        and not is_transparent(network, node)
        and not isinstance(module_of(network, node), Activation)  # gates a tensor without relevance
    ]
    return tuple(dict.fromkeys(names))


def default_start(network: fx.GraphModule, rules: Rules) -> Start:
    """Choose the output relevance with which positive relevance speaks for the target.

    The logit, if the rule of the last layer divides by that layer's output: such a rule turns the
    sign of a relevance of 1 where the logit is negative. Else 1, as for gradients.
    """
    waiting, seen = [logits_of(network.graph)], set[fx.Node]()
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        entry = rules.get(str(node.target))
        if entry is not None and RULES[entry.rule].divides_by_output:
            return "logit"
        if _keeps_sign(module_of(network, node), entry):
            waiting.extend(node.all_input_nodes)
    return "one_hot"


def default_start_untraced(network: nn.Module, method: Method) -> Start:
    """`default_start` of a network without a graph: of its last layer in order of definition."""
    layers = {name: one for name, one in network.named_modules() if isinstance(one, Linear)}
    last = next(reversed(layers), "")
    chosen = [
        assignment.rule
        for assignment in method.rules
        if last in _matching(assignment.layers, layers) and _fits(assignment.rule, layers[last])
    ]
    return "logit" if chosen and RULES[chosen[0]].divides_by_output else "one_hot"


def _keeps_sign(module: nn.Module | None, entry: Assignment | None) -> bool:
    """Whether relevance passes a node on its way to the last layer that has a rule."""
    if entry is not None:
        return entry.rule == "pass"
    return not isinstance(module, Linear)  # without a rule: a plain gradient


def _name(node: fx.Node) -> str:
    return str(node.target) if isinstance(node.target, str) else node.name


def _layers(network: fx.GraphModule) -> dict[str, nn.Module]:
    """Modules that take one tensor, and sums, by name."""
    found = {}
    for node in network.graph.nodes:
        module = module_of(network, node)
        if isinstance(module, Sum) or (module is not None and len(node.args) == 1):
            found[str(node.target)] = module
    return found


def _matching(pattern: str, layers: Mapping[str, nn.Module]) -> Iterator[str]:
    where, _, kind = pattern.partition(":")
    if pattern not in TYPES:
        yield from _matching_names(pattern, layers)
        return
    found = (name for name, module in layers.items() if isinstance(module, _KINDS[kind]))
    if where == "first":
        yield from list(found)[:1]
    else:
        yield from found


def _matching_names(pattern: str, layers: Iterable[str]) -> Iterator[str]:
    """Names that match a pattern, in which only `*` and `?` stand for others."""
    # not fnmatchcase, which keeps the last 32,768 patterns of its callers
    matches = re.compile(fnmatch.translate(pattern.replace("[", "[[]"))).match
    yield from filter(matches, layers)


def _fits(rule: str, module: nn.Module) -> bool:
    return isinstance(module, _AFFECTED[RULES[rule].affects])


def _check(
    number: int,
    assignment: Assignment,
    matching: list[str],
    fitting: list[str],
    layers: Mapping[str, nn.Module],
) -> None:
    if fitting or (assignment.layers in TYPES and not matching):
        return
    if matching:
        problem = f"the rule {assignment.rule} cannot be given to {matching[0]}"
        problem += f", a {type(layers[matching[0]]).__name__}"
    else:
        pattern = shorten(assignment.layers, 200)
        problem = f"no layer is called {pattern}; there are: {join_names(layers)}"
    raise OptionError.of("composite", f"entry {number}: {problem}")


def _check_boxes(network: fx.GraphModule, rules: Rules) -> None:
    for node in network.graph.nodes:
        rule = rules.get(str(node.target))
        if rule is not None and rule.rule == "zbox" and not _sees_image(node):
            raise OptionError.of(
                "composite",
                f"the rule zbox is for the layer that sees the image, not {node.target}",
            )


def _sees_image(node: fx.Node) -> bool:
    return [source.op for source in node.all_input_nodes] == ["placeholder"]
