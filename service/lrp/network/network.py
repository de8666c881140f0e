"""A network that is canonized once, and its layers."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, fx, nn

from service.errors import OptionError, join_names
from service.lrp.cpu.conv2d import BatchInvariantConv2d, make_convolutions_batch_invariant
from service.lrp.cpu.linear import BatchInvariantLinear, make_linears_batch_invariant
from service.lrp.cpu.memory_format import (
    ChannelsLastMaxPool2d,
    put_channels_first,
    put_channels_last,
)
from service.lrp.network.analysis import crossed_by_all, logits_of, module_of, on_the_way
from service.lrp.network.canonize import UntraceableError, canonize, share
from service.lrp.network.layers import TRANSPARENT, Activation, AvgPool, BatchNorm, Linear
from service.methods import INPUT


@dataclass(frozen=True)
class Layer:
    """A use of a module: its name, the class of the module, and the shape of one output."""

    name: str
    kind: str
    shape: tuple[int, ...]


class Network:
    """A network in evaluation mode. Nothing changes it, so any thread can use it.

    Parameters
    ----------
    model : nn.Module
        Takes a batch, returns logits. Its weights must not change afterwards.
    is_traced : bool
        Whether to trace it.
    is_channels_last : bool
        Whether the channels may be last in memory; those of a network that cannot be traced never
        are, as its code may not allow it.

    Attributes
    ----------
    module : nn.Module
        The canonized network; if it cannot be traced, a copy of the network as it is, which has
        no layers to explain and no twin.
    graph : fx.GraphModule or None
        The canonized network; None if it cannot be traced.
    why_untraceable : str
        What stood in the way.
    is_channels_last : bool
        Whether its tensors may have their channels last.
    is_batch_first : bool
        Whether the first dimension of every layer's output is the batch; False until its
        layers have been described with two images.
    reused : tuple of str
        If it cannot be traced: modules that rules are for, but that it uses more than once; known
        when its layers have been described.
    """

    def __init__(
        self, model: nn.Module, *, is_traced: bool = True, is_channels_last: bool = True
    ) -> None:
        self.graph: fx.GraphModule | None = None
        self.why_untraceable = "its graph does not compute what it does"
        self.reused: tuple[str, ...] = ()
        self.is_batch_first = False
        try:
            self.graph = canonize(model) if is_traced else None
        except UntraceableError as error:
            self.why_untraceable = str(error)
        self.module: nn.Module = self.graph or share(model.eval()).requires_grad_(False)
        make_convolutions_batch_invariant(self.module)
        make_linears_batch_invariant(self.module)
        self.is_channels_last = is_channels_last and self.graph is not None
        (put_channels_last if self.is_channels_last else put_channels_first)(self.module)

    def arrange(self, images: Tensor) -> Tensor:
        """Put images into the memory format that the network needs."""
        return images if self.is_channels_last else images.contiguous()

    @cached_property
    def layers(self) -> dict[str, fx.Node]:
        """Layers that can be explained, by name, in the order of computation."""
        if self.graph is None:
            return {}
        return {
            str(node.target): node
            for node in on_the_way(self.graph.graph)
            if (module := module_of(self.graph, node)) is not None
            and not isinstance(module, TRANSPARENT)
            and not _returns_several(node)
        }

    def describe_layers(self, images: Tensor) -> list[Layer]:
        """Describe the layers, the last one first, then the input; runs the network on images."""
        found = [Layer(INPUT, "Image", tuple(images.shape[1:]))]
        if self.graph is None:
            self.reused = used_more_than_once(self.module, self.arrange(images))
        else:
            shapes, of_one = (
                _record_shapes(self.graph, self.arrange(batch)) for batch in (images, images[:1])
            )
            self.is_batch_first = len(images) > 1 and all(
                shape[:1] == (len(images),) and of_one[name][:1] == (1,)
                for name, shape in shapes.items()
            )
            for name in self.layers:
                kind = kind_of(self.graph.get_submodule(name))
                found.append(Layer(name, kind, shapes[name][1:]))
        return found[::-1]

    def recorded_layers(self, layer: str) -> list[fx.Node]:
        """Layers whose relevance is summed, from the output down to a layer.

        Every path from the image to the logits crosses them, and they change relevance. The last
        one is `layer` itself, whether all paths cross it or not.

        Raises
        ------
        OptionError
            There is no such layer.
        """
        if layer != INPUT and layer not in self.layers:
            raise OptionError.of("layer", f"must be one of: {self._names()}")
        counted = self._counted
        if layer == INPUT:
            return counted
        node = self.layers[layer]
        order = list(node.graph.nodes)
        after = [later for later in counted if order.index(later) > order.index(node)]
        return [*after, node]

    def nodes_of(self, layers: Sequence[str]) -> list[fx.Node]:
        """The nodes of layers, in their order; the input has none.

        Raises
        ------
        OptionError
            There is no such layer.
        """
        unknown = [name for name in layers if name != INPUT and name not in self.layers]
        if unknown:
            raise OptionError.of("layers", f"must be among: {self._names()}")
        return [self.layers[name] for name in layers if name != INPUT]

    def has_channels(self, node: fx.Node) -> bool:
        """Whether the second dimension of a layer's output is that of its channels."""
        return self.graph is not None and not isinstance(module_of(self.graph, node), nn.Linear)

    @cached_property
    def _counted(self) -> list[fx.Node]:
        if self.graph is None:
            return []
        crossed = [node for node in crossed_by_all(self.graph.graph) if node in self._nodes]
        kept = [node for node in crossed if not self._passes_unchanged(node)]
        return kept[::-1]

    @cached_property
    def _nodes(self) -> set[fx.Node]:
        return set(self.layers.values())

    def _passes_unchanged(self, node: fx.Node) -> bool:
        if self.graph is None or node is logits_of(self.graph.graph):
            return False
        return isinstance(module_of(self.graph, node), Activation)

    def _names(self) -> str:
        return join_names([INPUT, *self.layers])


def _record_shapes(network: fx.GraphModule, images: Tensor) -> dict[str, tuple[int, ...]]:
    """Shapes of the outputs of all modules, with the batch, by their names."""
    shapes: dict[str, tuple[int, ...]] = {}
    _ShapeRecorder(network, shapes).run(images)
    return shapes


class _ShapeRecorder(fx.Interpreter):
    def __init__(self, network: fx.GraphModule, shapes: dict[str, tuple[int, ...]]) -> None:
        super().__init__(network)
        self._shapes = shapes

    @torch.no_grad()
    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Run the network."""
        return super().run(*args, **kwargs)

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Call a module, and keep the shape of what it returns."""
        output = super().call_module(target, args, kwargs)
        if isinstance(output, Tensor):
            self._shapes[str(target)] = tuple(output.shape)
        return output


def used_more_than_once(model: nn.Module, images: Tensor) -> tuple[str, ...]:
    """Name the modules that rules are for, but that a network uses more than once."""
    counts: Counter[str] = Counter()
    copied = share(model)
    for name, module in copied.named_modules():
        if isinstance(module, (Linear, BatchNorm, AvgPool, Activation)):
            module.register_forward_hook(lambda *_, name=name: counts.update([name]))
    with torch.no_grad():
        copied(images)
    return tuple(name for name, count in counts.items() if count > 1)


def _returns_several(node: fx.Node) -> bool:
    return any(
        user.target is operator.getitem and isinstance(user.args[1], int) for user in node.users
    )


def kind_of(module: nn.Module) -> str:
    """The class of a module, as the network's author wrote it."""
    return _KINDS.get(type(module), type(module)).__name__


_KINDS: dict[type[nn.Module], type[nn.Module]] = {
    BatchInvariantConv2d: nn.Conv2d,
    BatchInvariantLinear: nn.Linear,
    ChannelsLastMaxPool2d: nn.MaxPool2d,
}


def names_of(recorded_layers: Sequence[fx.Node]) -> tuple[str, ...]:
    """The names of layers."""
    return tuple(str(node.target) for node in recorded_layers)
