"""Compute relevance: the twin of each method, or zennit where there is none."""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, fx, nn

from service.errors import DeadlineExceeded, OptionError
from service.lrp.attribution.gradient import Found, LayerGradient
from service.lrp.attribution.output_relevance import Start
from service.lrp.attribution.sampling import (
    Finder,
    Predictor,
    integrated_gradients,
    occlusion,
    smooth_grad,
)
from service.lrp.network.network import Network, names_of
from service.lrp.rules.assignment import Rules, assign_rules, layers_without_rule
from service.lrp.rules.modified_weights import ModifiedWeights
from service.lrp.twin import Box, NoTwinError, make_twin, with_taps
from service.lrp.zennit_reference import in_call_order, make_oracle, zennit_composite
from service.methods import COMPOSITES, INPUT, PLAIN, Method

IsCancelled = Callable[[], bool]
EngineName = Literal["twin", "zennit"]
MAX_TWINS = 64  # without modified weights a twin is small
MAX_TWIN_BYTES = 1 << 30
UNTRACED = "(code that cannot be traced)"


@dataclass(frozen=True, eq=False)
class Way:
    """How a method is computed on a network: an attributor, and what is known about it.

    Attributes
    ----------
    gradient : LayerGradient
        Of the twin, or of zennit.
    engine : {"twin", "zennit"}
        Which of them it is.
    taps : tuple of str
        Names of the layers at which relevance is counted.
    layers_without_rule : tuple of str
        Layers and functions that pass a plain gradient though the method has rules.
    weights : dict of int to int
        Sizes in bytes of the modified weights, by their addresses.
    """

    gradient: LayerGradient
    engine: EngineName
    taps: tuple[str, ...]
    layers_without_rule: tuple[str, ...]
    weights: dict[int, int]


@dataclass(frozen=True, eq=False)
class Attributions:
    """What was found for a batch, and how; see `Found` for the tensors."""

    found: Found
    engine: EngineName
    taps: tuple[str, ...]
    layers_without_rule: tuple[str, ...]

    @property
    def logits(self) -> Tensor:
        """Shape (N, num_classes)."""
        return self.found.logits

    @property
    def relevances(self) -> list[Tensor]:
        """One of shape (N, ...) for each start."""
        return self.found.relevances


def never_cancelled() -> bool:
    """Return False: the result is needed, however long it takes."""
    return False


def _unless_cancelled(
    find: Finder, predict: Predictor, is_cancelled: IsCancelled
) -> tuple[Finder, Predictor]:
    def check() -> None:
        if is_cancelled():
            raise DeadlineExceeded("the deadline has passed, or the caller has left")

    def find_unless_cancelled(images: Tensor, starts: Sequence[Start]) -> Found:
        check()
        return find(images, starts)

    def predict_unless_cancelled(images: Tensor) -> Tensor:
        check()
        return predict(images)

    return find_unless_cancelled, predict_unless_cancelled


class Explainer:
    """Explains one network. Methods whose engine is the twin can run on any number of threads.

    Parameters
    ----------
    model : nn.Module
        In evaluation mode. Its weights must not change afterwards.
    box : tuple of 2 Tensor, optional
        The lowest and the highest value of the network's input, shape (1, C, 1, 1); 0 and 1 by
        default.
    is_traced : bool
        False for a network whose graph is known not to compute what the network does.
    """

    def __init__(self, model: nn.Module, box: Box | None = None, *, is_traced: bool = True) -> None:
        self.network = Network(model, is_traced=is_traced)
        one = next(model.parameters()).new_ones(1, 1, 1, 1)
        self._box = box or (torch.zeros_like(one), one)
        self._baselines = {
            "mean": torch.zeros_like(self._box[0]),
            "black": self._box[0],
            "white": self._box[1],
        }
        self._weights = ModifiedWeights()
        self._ways: OrderedDict[tuple[object, ...], Way] = OrderedDict()
        self._lock = threading.Lock()

    def predict(self, images: Tensor) -> Tensor:
        """Compute logits, shape (N, num_classes), of images, shape (N, C, H, W)."""
        with torch.no_grad():
            logits: Tensor = self.network.module(images)
        return logits

    def explain(
        self,
        images: Tensor,
        starts: Sequence[Start],
        method: Method,
        is_cancelled: IsCancelled = never_cancelled,
    ) -> Attributions:
        """Propagate relevance from the logits to the input, or to a layer.

        Parameters
        ----------
        images : Tensor
            Normalized images, shape (N, C, H, W).
        starts : sequence of Start
            Rounds of targets: one for each image in each.
        method : Method
            The attributor, the rules and the layer.
        is_cancelled : callable
            Called before each pass of an attributor that takes several.

        Raises
        ------
        OptionError
            The rules or the layer do not fit the network.
        DeadlineExceeded
            `is_cancelled` returned True.
        """
        way = self.way(method)
        find, predict = _unless_cancelled(way.gradient.find, self.predict, is_cancelled)
        found = self._attribute(find, predict, images, starts, method)
        return Attributions(found, way.engine, way.taps, way.layers_without_rule)

    def _attribute(
        self,
        find: Finder,
        predict: Predictor,
        images: Tensor,
        starts: Sequence[Start],
        method: Method,
    ) -> Found:
        if method.attributor == "smooth_grad":
            return smooth_grad(find, images, starts, method)
        if method.attributor == "integrated_gradients":
            baseline = self._baselines[str(method["baseline"])].expand_as(images[:1])
            return integrated_gradients(find, predict, images, baseline, starts, method)
        if method.attributor == "occlusion":
            hidden = self._baselines["mean"].expand_as(images[:1])
            return occlusion(predict, images, hidden, starts, method)
        return find(images, starts)

    def way(self, method: Method) -> Way:
        """Find how a method is computed, and make its twin if it is new."""
        key = (method.composite, method.rules, method.layer, method.conserves)
        with self._lock:
            if key not in self._ways:
                self._ways[key] = self._make_way(method)
            self._ways.move_to_end(key)
            self._drop_ways()
            return self._ways[key]

    def to_double(self) -> Explainer:
        """Copy the network into double precision, and explain that."""
        low, high = self._box
        return Explainer(
            copy.deepcopy(self.network.module).double(),
            (low.double(), high.double()),
            is_traced=self.network.graph is not None,
        )

    def oracle(self, method: Method) -> Way:
        """Make what the twin of a method has to equal. Not thread-safe: zennit swaps parameters."""
        graph = self.network.graph
        return self._zennit_way(method, None if graph is None else assign_rules(graph, method))

    @property
    def twin_bytes(self) -> int:
        """Bytes of the modified weights that are held, beyond the network's own."""
        sizes: dict[int, int] = {}
        for way in self._ways.values():
            sizes |= way.weights
        return sum(sizes.values())

    def _drop_ways(self) -> None:
        """Forget the least recently used, but never the last one."""
        while len(self._ways) > 1 and (
            len(self._ways) > MAX_TWINS or self.twin_bytes > MAX_TWIN_BYTES
        ):
            self._ways.popitem(last=False)

    def _make_way(self, method: Method) -> Way:
        taps = self.network.taps(method.layer)
        graph = self.network.graph
        if graph is None:
            self._check_untraced(method)
            return self._zennit_way(method, None)
        rules = assign_rules(graph, method)
        try:
            twin = make_twin(graph, rules, self._weights, self._box)
        except NoTwinError:
            return self._zennit_way(method, rules)
        options = {"at_tap": method.layer != INPUT, "counts": method.conserves}
        return Way(
            LayerGradient(with_taps(twin, taps), None, **options),
            "twin",
            names_of(taps),
            layers_without_rule(graph, rules, method),
            weights_of(twin),
        )

    def _check_untraced(self, method: Method) -> None:
        if method.rules and self.network.reused:
            raise OptionError.of(
                "composite",
                f"must be {PLAIN}: this network cannot be traced "
                f"({self.network.why_untraceable}), and uses {', '.join(self.network.reused)} "
                "more than once, which rules need to be traced for",
            )
        if not method.is_named:
            raise OptionError.of(
                "composite",
                f"must be one of: {', '.join(COMPOSITES)}; this network has no layers that rules "
                f"can be given to, as it cannot be traced: {self.network.why_untraceable}",
            )

    def _zennit_way(self, method: Method, rules: Rules | None) -> Way:
        taps = self.network.taps(method.layer)
        composite = zennit_composite(method, rules, self._box)
        oracle = make_oracle(self.network.module)
        if composite is not None and isinstance(oracle, fx.GraphModule):
            composite = in_call_order(composite, oracle)
        tapped = with_taps(oracle, taps) if isinstance(oracle, fx.GraphModule) else Untapped(oracle)
        gradient = LayerGradient(
            tapped, composite, at_tap=method.layer != INPUT, counts=method.conserves
        )
        graph = self.network.graph
        names = (UNTRACED,) if graph is None else layers_without_rule(graph, rules or {}, method)
        return Way(gradient, "zennit", names_of(taps), names, {})


class Untapped(nn.Module):
    """A network that cannot be traced, with no taps."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Compute logits."""
        return self.model(images), ()


def weights_of(twin: nn.Module) -> dict[int, int]:
    """Sizes in bytes of the modified weights of a twin, by their addresses."""
    own = {parameter.data_ptr() for parameter in twin.parameters()}
    held = (value for module in twin.modules() for value in vars(module).values())
    tensors = [value for value in held if isinstance(value, Tensor)]
    return {t.data_ptr(): t.nbytes for t in tensors if t.data_ptr() not in own}
