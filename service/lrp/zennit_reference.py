"""zennit with its hooks: the reference of the twin, and the fallback where there is no twin.

On a canonized network whose modules are its own: zennit swaps parameters while it computes, and
is wrong where a module is used twice or a ReLU works in context.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from zennit import composites as zennit_composites
from zennit import rules as zennit_rules
from zennit.core import Composite, Hook
from zennit.layer import Sum as ZennitSum

from service.lrp.attribution.gradient import AttributionResult, GradientOptions
from service.lrp.attribution.output_relevance import OutputRelevance
from service.lrp.network.analysis import module_of
from service.lrp.network.canonize import share
from service.lrp.network.layers import Sum
from service.lrp.passes import Passes, finish
from service.lrp.rules.assignment import Rules
from service.lrp.twin import Box, with_recorded_layers
from service.methods import COMPOSITES, PLAIN, Assignment, Method


@dataclass(frozen=True, eq=False)
class ZennitGradient:
    """The gradient of a network with zennit's hooks.

    Attributes
    ----------
    model : nn.Module
        Takes images, returns logits and the outputs of the recorded layers.
    composite : Composite or None
        With the method's own stabilizers; None for the plain gradient.
    options : GradientOptions
        Which gradients are wanted.
    """

    model: nn.Module
    composite: Composite | None
    options: GradientOptions

    def attribute(
        self,
        images: Tensor,
        starts: Sequence[OutputRelevance],
        stabilizers: Tensor | None = None,
    ) -> AttributionResult:
        """Propagate relevance from each start, with the composite's hooks in effect."""
        if self.composite is None:
            return finish(self.options.passes(self.model, images, starts))
        with self.composite.context(self.model) as model:
            return finish(self.options.passes(model, images, starts))

    def passes(
        self, images: Tensor, starts: Sequence[OutputRelevance], stabilizers: Tensor
    ) -> Passes[AttributionResult]:
        """`attribute` without a pause: meanwhile the hooks would change other computations."""
        yield from ()  # makes it a generator
        return self.attribute(images, starts, stabilizers)


def make_zennit_gradient(
    network: nn.Module,
    recorded_layers: Sequence[fx.Node],
    method: Method,
    rules: Rules | None,
    box: Box,
    options: GradientOptions,
) -> ZennitGradient:
    """Make the gradient that zennit modifies for a method on a network; see `zennit_composite`."""
    composite = zennit_composite(method, rules, box)
    oracle = make_oracle(network)
    if not isinstance(oracle, fx.GraphModule):
        return ZennitGradient(Unrecorded(oracle), composite, options)
    if composite is not None:
        composite = in_call_order(composite, oracle)
    return ZennitGradient(with_recorded_layers(oracle, recorded_layers), composite, options)


class Unrecorded(nn.Module):
    """A network that cannot be traced, with no recorded layers."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Compute logits."""
        return self.model(images), ()


class StackedSum(nn.Module):
    """A sum of branches that are stacked in one tensor, as zennit's rule takes it."""

    def __init__(self) -> None:
        super().__init__()
        self.sum = ZennitSum()

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Add two tensors whose shapes broadcast."""
        total: Tensor = self.sum(torch.stack(torch.broadcast_tensors(left, right), dim=-1))
        return total


def make_oracle(network: nn.Module) -> Any:
    """Copy a network's modules, but not its weights, into a form that zennit is right on."""
    copy = share(network)
    for name, module in list(copy.named_modules()):
        if isinstance(module, Sum):
            copy.set_submodule(name, StackedSum())
        elif getattr(module, "inplace", False):
            module.inplace = False
    return copy.eval().requires_grad_(False)


def zennit_composite(method: Method, rules: Rules | None, box: Box) -> Composite | None:
    """Make zennit's composite of a method; None for the plain gradient.

    Parameters
    ----------
    method : Method
        If its composite is one of `COMPOSITES`, zennit's own of that name is used.
    rules : mapping of str to Assignment or None
        For a custom composite: the rule of each layer.
    box : tuple of 2 Tensor
        The lowest and the highest value of the network's input, shape (1, C, 1, 1).
    """
    if method.composite == PLAIN:
        return None
    if method.composite in COMPOSITES:
        return _named(method, box)
    hooks = {name: make_hook(one, box) for name, one in (rules or {}).items()}

    def find(context: object, name: str, module: nn.Module) -> Hook | None:
        own = name.removesuffix(".sum") if isinstance(module, ZennitSum) else name
        is_stacked = isinstance(module, StackedSum)
        return None if is_stacked else hooks.get(own)

    return Composite(module_map=find)


def in_call_order(composite: Composite, oracle: fx.GraphModule) -> Composite:
    """Let a composite see modules in the order of their calls, not in that of their names.

    The first layer is then the first in order of computation. Modules of several inputs get none:
    zennit's hooks are for one.
    """
    hooks: dict[str, Hook | None] = {}
    seen: dict[str, Any] = {}  # what the composite keeps between modules
    for node in oracle.graph.nodes:
        called = module_of(oracle, node)
        if called is None or not (len(node.args) == 1 or isinstance(called, StackedSum)):
            continue
        for name, module in called.named_modules(prefix=str(node.target)):
            hooks[name] = composite.module_map(seen, name, module)
    return Composite(module_map=lambda context, name, module: hooks.get(name))


def _named(method: Method, box: Box) -> Composite:
    names = {"beta": "beta_smooth", "zero_bias": "zero_params"}
    own = {p.name for p in COMPOSITES[method.composite].parameters}
    values: dict[str, Any] = {
        names.get(name, name): value for name, value in method.parameters if name in own
    }
    if "zero_params" in values:
        values["zero_params"] = ["bias"] if values["zero_params"] else None
    if method.composite == "epsilon_gamma_box":
        values["low"], values["high"] = box
    return zennit_composites.COMPOSITES[method.composite](**values)


def make_hook(assignment: Assignment, box: Box) -> Hook:
    """Make zennit's rule of an assignment."""
    values: dict[str, Any] = dict(assignment.values)
    if "zero_bias" in values:
        values["zero_params"] = ["bias"] if values.pop("zero_bias") else None
    return _HOOKS[assignment.rule](values, box)


_HOOKS: Mapping[str, Callable[[dict[str, Any], Box], Hook]] = {
    "epsilon": lambda values, box: zennit_rules.Epsilon(**values),
    "gamma": lambda values, box: zennit_rules.Gamma(**values),
    "zplus": lambda values, box: zennit_rules.ZPlus(**values),
    "alpha_beta": lambda values, box: zennit_rules.AlphaBeta(**values),
    "zbox": lambda values, box: zennit_rules.ZBox(box[0], box[1], **values),
    "wsquare": lambda values, box: zennit_rules.WSquare(**values),
    "flat": lambda values, box: zennit_rules.Flat(**values),
    "norm": lambda values, box: zennit_rules.Norm(**values),
    "pass": lambda values, box: zennit_rules.Pass(),
    "relu_deconvnet": lambda values, box: zennit_rules.ReLUDeconvNet(),
    "relu_guided_backprop": lambda values, box: zennit_rules.ReLUGuidedBackprop(),
    "relu_beta_smooth": lambda values, box: zennit_rules.ReLUBetaSmooth(values["beta"]),
}
