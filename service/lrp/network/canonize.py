"""Bring a network into a form that rules apply to, without changing what it computes.

The form is a graph in which

- every use of a module is a module of its own, named per use: `relu`, `relu#2`;
- ReLUs, sums of branches and average pools are modules, also where the network calls functions;
- nothing works in place, or depends on the memory format of a tensor;
- batch norm is merged into the layer before it, where there is one.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from service.lrp.network.layers import (
    NUMBER_METHODS,
    Activation,
    AvgPool,
    BatchNorm,
    Convolution,
    Linear,
    MaxPool,
    Sum,
    is_altered,
)
from service.lrp.network.layout import ContiguousGradient, make_layout_independent
from service.lrp.tracing import TRACING


class UntraceableError(Exception):
    """The network's forward pass depends on its input: it has no fixed graph."""


class _Tracer(fx.Tracer):
    """Keeps whole what a rule can be given to, a network's own subclasses too."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        kinds = (Linear, BatchNorm, Activation, AvgPool, MaxPool, Sum, ContiguousGradient)
        return isinstance(m, kinds) or super().is_leaf_module(m, module_qualified_name)


def canonize(model: nn.Module) -> fx.GraphModule:
    """Make the canonized graph of a network; its weights are shared where they stay the same.

    Parameters
    ----------
    model : nn.Module
        Put into evaluation mode; takes a batch, returns logits.

    Raises
    ------
    UntraceableError
        It has no fixed graph, or one that cannot be brought into the form.
    """
    try:
        return _canonize(model.eval())
    except UntraceableError:
        raise
    except Exception as error:  # of torch's tracing or merging, or of the network's own code
        raise UntraceableError(f"{type(error).__name__}: {error}") from error


def _canonize(model: nn.Module) -> fx.GraphModule:
    network = _trace(model)
    _name_each_use(network)
    _see_changes(network)
    network.graph.eliminate_dead_code()
    _make_modules(network)
    _take_out_of_place(network)
    _merge_batch_norm(network)
    make_layout_independent(network)
    network.graph.lint()
    network.recompile()
    return network.eval().requires_grad_(False)


def share(module: nn.Module) -> Any:
    """Copy a module, but not its parameters and buffers: those are the same objects."""
    tensors = (*module.parameters(), *module.buffers())
    return copy.deepcopy(module, {id(tensor): tensor for tensor in tensors})


def _trace(model: nn.Module) -> fx.GraphModule:
    with TRACING.tracing():
        graph = _Tracer().trace(model)
    network = fx.GraphModule(model, graph, type(model).__name__)
    placeholders = [node for node in graph.nodes if node.op == "placeholder"]
    output = next(iter(reversed(graph.nodes))).args[0]
    if len(placeholders) != 1 or not isinstance(output, fx.Node):
        raise UntraceableError("it takes one batch of images and returns one tensor of logits")
    return cast("fx.GraphModule", share(network))


def _name_each_use(network: fx.GraphModule) -> None:
    seen: dict[str, int] = {}
    for node in network.graph.nodes:
        if node.op != "call_module":
            continue
        if not node.args and "input" in node.kwargs:  # `conv(input=x)`
            others = {name: value for name, value in node.kwargs.items() if name != "input"}
            node.args, node.kwargs = (node.kwargs["input"],), others
        target = str(node.target)
        seen[target] = seen.get(target, 0) + 1
        if seen[target] > 1:
            node.target = f"{target}#{seen[target]}"
            network.add_submodule(node.target, share(network.get_submodule(target)))


def _see_changes(network: fx.GraphModule) -> None:
    """Let later users of a tensor that is changed in place use the changed tensor."""
    order = {node: index for index, node in enumerate(network.graph.nodes)}
    for node in network.graph.nodes:
        if _works_in_place(network, node):
            changed = node.args[0]
            changed.replace_all_uses_with(node, lambda user, end=order[node]: order[user] > end)


def _take_out_of_place(network: fx.GraphModule) -> None:
    """Make operations that work in place return a new tensor."""
    for node in list(network.graph.nodes):
        if not _works_in_place(network, node):
            continue
        if node.op == "call_module":
            network.get_submodule(str(node.target)).inplace = False  # type: ignore[assignment]
        elif "inplace" in node.kwargs:
            node.kwargs = {**node.kwargs, "inplace": False}
        else:
            with network.graph.inserting_before(node):
                copied = network.graph.call_method("clone", (node.args[0],))
            node.args = (copied, *node.args[1:])


def _works_in_place(network: fx.GraphModule, node: fx.Node) -> bool:
    if not node.args or not _is_node(node.args[0]):
        return False
    if node.op == "call_module":
        return bool(getattr(network.get_submodule(str(node.target)), "inplace", False))
    if node.op not in ("call_function", "call_method"):
        return False
    name = node.target if isinstance(node.target, str) else node.target.__name__
    is_named_so = name.endswith("_") and not name.endswith("__")  # as torch names them
    return bool(node.kwargs.get("inplace")) or is_named_so or node.target in _IN_PLACE


def _is_node(*values: Any) -> bool:
    return all(isinstance(value, fx.Node) for value in values)


def _relu(node: fx.Node) -> nn.Module:
    return nn.ReLU()


def _sum(node: fx.Node) -> nn.Module | None:
    is_plain = len(node.args) == 2 and _is_node(*node.args) and not node.kwargs
    return Sum() if is_plain and not any(map(_is_number, node.args)) else None


def _is_number(value: Any) -> bool:
    """Whether a node computes with shapes, not with tensors."""
    if value.op == "call_method" and value.target in NUMBER_METHODS:
        return True
    if value.target is getattr:
        return True
    sources = value.all_input_nodes
    return value.op == "call_function" and bool(sources) and all(map(_is_number, sources))


def _average(kind: type[nn.Module]) -> Callable[[fx.Node], nn.Module | None]:
    def make(node: fx.Node) -> nn.Module | None:
        own = [*node.args[1:], *node.kwargs.values()]
        return (
            None if any(_is_node(value) for value in own) else kind(*node.args[1:], **node.kwargs)
        )

    return make


_IN_PLACE = frozenset(
    {operator.iadd, operator.isub, operator.imul, operator.itruediv}
    | {"__iadd__", "__isub__", "__imul__", "__itruediv__"}
)

# functions that become modules; each gives None for a call that a module cannot stand for
_FUNCTIONS: Mapping[Any, tuple[str, Callable[[fx.Node], nn.Module | None]]] = {
    **dict.fromkeys((functional.relu, torch.relu, torch.relu_, "relu", "relu_"), ("relu", _relu)),
    **dict.fromkeys(
        (operator.add, operator.iadd, torch.add, "add", "add_", "__add__"), ("sum", _sum)
    ),
    functional.avg_pool1d: ("avg_pool", _average(nn.AvgPool1d)),
    functional.avg_pool2d: ("avg_pool", _average(nn.AvgPool2d)),
    functional.avg_pool3d: ("avg_pool", _average(nn.AvgPool3d)),
    functional.adaptive_avg_pool1d: ("avg_pool", _average(nn.AdaptiveAvgPool1d)),
    functional.adaptive_avg_pool2d: ("avg_pool", _average(nn.AdaptiveAvgPool2d)),
    functional.adaptive_avg_pool3d: ("avg_pool", _average(nn.AdaptiveAvgPool3d)),
}


def _make_modules(network: fx.GraphModule) -> None:
    for node in list(network.graph.nodes):
        if node.op not in ("call_function", "call_method"):
            continue
        name, make = _FUNCTIONS.get(node.target, ("", _no_module))
        module = make(node)
        if module is not None:
            _replace(network, node, name, module)


def _no_module(node: fx.Node) -> None:
    return None


def _replace(network: fx.GraphModule, node: fx.Node, name: str, module: nn.Module) -> None:
    target = _free_name(network, node, name)
    network.add_submodule(target, module)
    inputs = node.args if isinstance(module, Sum) else node.args[:1] or (node.kwargs["input"],)
    with network.graph.inserting_before(node):
        call = network.graph.call_module(target, tuple(inputs))
    node.replace_all_uses_with(call)
    network.graph.erase_node(node)


def _free_name(network: fx.GraphModule, node: fx.Node, name: str) -> str:
    """A name in the module whose code calls the function: `layer1.0.sum`, `layer1.0.sum#2`."""
    scopes = [scope for scope in node.meta.get("nn_module_stack", {}) if scope]
    prefix = f"{scopes[-1]}." if scopes else ""
    taken = {str(target) for target, _ in network.named_modules()}
    number, candidate = 1, f"{prefix}{name}"
    while candidate in taken:
        number += 1
        candidate = f"{prefix}{name}#{number}"
    return candidate


def _merge_batch_norm(network: fx.GraphModule) -> None:
    for node in list(network.graph.nodes):
        if node.op != "call_module":
            continue
        norm, before = network.get_submodule(str(node.target)), node.args[0]
        if not isinstance(norm, BatchNorm) or not _is_node(before) or len(before.users) > 1:
            continue
        linear = _module_of(network, before)
        if linear is None or norm.running_mean is None or not _is_mergeable(linear):
            continue
        merged = _fuse(linear, norm)
        if merged is None:
            continue
        network.set_submodule(str(before.target), merged)
        node.replace_all_uses_with(before)
        network.graph.erase_node(node)
        network.delete_submodule(str(node.target))


def _module_of(network: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    return network.get_submodule(str(node.target)) if node.op == "call_module" else None


def _is_mergeable(module: nn.Module) -> bool:
    return isinstance(module, (Convolution, nn.Linear)) and not is_altered(module)


def _fuse(linear: Any, norm: Any) -> nn.Module | None:
    """Merge a batch norm into the layer before it; None where their shapes do not fit for that."""
    is_transposed = bool(getattr(linear, "transposed", False))
    is_per_channel = not isinstance(linear, nn.Linear) or norm.num_features == linear.out_features
    if not is_per_channel or (is_transposed and linear.groups > 1):
        return None
    if isinstance(linear, nn.Linear):
        return fuse_linear_bn_eval(linear, norm)
    fused: nn.Module = fuse_conv_bn_eval(linear, norm, transpose=is_transposed)
    return fused


def difference(model: nn.Module, network: nn.Module, images: Tensor) -> float:
    """Largest difference between the outputs of two networks, relative to the largest output."""
    with torch.no_grad():
        wanted, found = model(images), network(images)
    return float((wanted - found).abs().max() / wanted.abs().max().clamp(min=1e-30))
