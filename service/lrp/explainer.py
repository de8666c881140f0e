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

from service.errors import DeadlineExceeded, OptionError, join_names
from service.lrp.attribution.gradient import AttributionResult, LayerGradient
from service.lrp.attribution.output_relevance import OutputRelevance
from service.lrp.attribution.sampling import (
    AttributeFn,
    PredictFn,
    integrated_gradients,
    occlusion,
    smooth_grad,
)
from service.lrp.network.network import Network, names_of
from service.lrp.rules.assignment import Rules, assign_rules, layers_without_rule
from service.lrp.rules.modified_weights import ModifiedWeights
from service.lrp.twin import Box, NoTwinError, make_twin, with_recorded_layers
from service.lrp.zennit_reference import in_call_order, make_oracle, zennit_composite
from service.methods import COMPOSITES, INPUT, PLAIN, Method

IsCancelled = Callable[[], bool]
EngineName = Literal["twin", "zennit"]
MAX_TWINS = 64  # without modified weights a twin is small
MAX_TWIN_BYTES = 1 << 30
UNTRACED = "(code that cannot be traced)"


@dataclass(frozen=True, eq=False)
class PreparedMethod:
    """How a method is computed on a network: an attributor, and what is known about it.

    Attributes
    ----------
    gradient : LayerGradient
        Of the twin, or of zennit.
    engine : {"twin", "zennit"}
        Which of them it is.
    recorded_layers : tuple of str
        Names of the layers at which relevance is counted.
    layers_without_rule : tuple of str
        Layers and functions that pass a plain gradient though the method has rules.
    weights : dict of int to int
        Sizes in bytes of the modified weights, by their addresses.
    """

    gradient: LayerGradient
    engine: EngineName
    recorded_layers: tuple[str, ...]
    layers_without_rule: tuple[str, ...]
    weights: dict[int, int]


@dataclass(frozen=True, eq=False)
class Attributions:
    """What was found for a batch, and how; see `AttributionResult` for the tensors."""

    found: AttributionResult
    engine: EngineName
    recorded_layers: tuple[str, ...]
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
    find: AttributeFn, predict: PredictFn, is_cancelled: IsCancelled
) -> tuple[AttributeFn, PredictFn]:
    def check() -> None:
        if is_cancelled():
            raise DeadlineExceeded("the deadline has passed, or the caller has left")

    def find_unless_cancelled(
        images: Tensor, starts: Sequence[OutputRelevance]
    ) -> AttributionResult:
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
        self._prepared: OrderedDict[tuple[object, ...], PreparedMethod] = OrderedDict()
        self._lock = threading.Lock()

    def predict(self, images: Tensor) -> Tensor:
        """Compute logits, shape (N, num_classes), of images, shape (N, C, H, W)."""
        with torch.no_grad():
            logits: Tensor = self.network.module(images)
        return logits

    def explain(
        self,
        images: Tensor,
        starts: Sequence[OutputRelevance],
        method: Method,
        is_cancelled: IsCancelled = never_cancelled,
    ) -> Attributions:
        """Propagate relevance from the logits to the input, or to a layer.

        Parameters
        ----------
        images : Tensor
            Normalized images, shape (N, C, H, W).
        starts : sequence of OutputRelevance
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
        prepared = self.prepare(method)
        find, predict = _unless_cancelled(prepared.gradient.attribute, self.predict, is_cancelled)
        found = self._attribute(find, predict, images, starts, method)
        return Attributions(
            found, prepared.engine, prepared.recorded_layers, prepared.layers_without_rule
        )

    def _attribute(
        self,
        find: AttributeFn,
        predict: PredictFn,
        images: Tensor,
        starts: Sequence[OutputRelevance],
        method: Method,
    ) -> AttributionResult:
        if method.attributor == "smooth_grad":
            return smooth_grad(find, images, starts, method)
        if method.attributor == "integrated_gradients":
            baseline = self._baselines[str(method["baseline"])].expand_as(images[:1])
            return integrated_gradients(find, predict, images, baseline, starts, method)
        if method.attributor == "occlusion":
            hidden = self._baselines["mean"].expand_as(images[:1])
            return occlusion(predict, images, hidden, starts, method)
        return find(images, starts)

    def prepare(self, method: Method) -> PreparedMethod:
        """Find how a method is computed, and make its twin if it is new."""
        key = (method.composite, method.rules, method.layer, method.conserves)
        with self._lock:
            if key not in self._prepared:
                self._prepared[key] = self._prepare(method)
            self._prepared.move_to_end(key)
            self._evict()
            return self._prepared[key]

    def to_double(self) -> Explainer:
        """Copy the network into double precision, and explain that."""
        low, high = self._box
        return Explainer(
            copy.deepcopy(self.network.module).double(),
            (low.double(), high.double()),
            is_traced=self.network.graph is not None,
        )

    def oracle(self, method: Method) -> PreparedMethod:
        """Make what the twin of a method has to equal. Not thread-safe: zennit swaps parameters."""
        graph = self.network.graph
        return self._prepare_zennit(method, None if graph is None else assign_rules(graph, method))

    @property
    def twin_bytes(self) -> int:
        """Bytes of the modified weights that are held, beyond the network's own."""
        sizes: dict[int, int] = {}
        for prepared in self._prepared.values():
            sizes |= prepared.weights
        return sum(sizes.values())

    def _evict(self) -> None:
        """Forget the least recently used, but never the last one."""
        while len(self._prepared) > 1 and (
            len(self._prepared) > MAX_TWINS or self.twin_bytes > MAX_TWIN_BYTES
        ):
            self._prepared.popitem(last=False)

    def _prepare(self, method: Method) -> PreparedMethod:
        recorded_layers = self.network.recorded_layers(method.layer)
        graph = self.network.graph
        if graph is None:
            self._check_untraced(method)
            return self._prepare_zennit(method, None)
        rules = assign_rules(graph, method)
        try:
            twin = make_twin(graph, rules, self._weights, self._box)
        except NoTwinError:
            return self._prepare_zennit(method, rules)
        options = {"is_at_layer": method.layer != INPUT, "counts": method.conserves}
        return PreparedMethod(
            LayerGradient(with_recorded_layers(twin, recorded_layers), None, **options),
            "twin",
            names_of(recorded_layers),
            layers_without_rule(graph, rules, method),
            weights_of(twin),
        )

    def _check_untraced(self, method: Method) -> None:
        if method.rules and self.network.reused:
            raise OptionError.of(
                "composite",
                f"must be {PLAIN}: this network cannot be traced "
                f"({self.network.why_untraceable}), and uses {join_names(self.network.reused)} "
                "more than once, which rules need to be traced for",
            )
        if not method.is_named:
            raise OptionError.of(
                "composite",
                f"must be one of: {join_names(COMPOSITES)}; this network has no layers that rules "
                f"can be given to, as it cannot be traced: {self.network.why_untraceable}",
            )

    def _prepare_zennit(self, method: Method, rules: Rules | None) -> PreparedMethod:
        recorded_layers = self.network.recorded_layers(method.layer)
        composite = zennit_composite(method, rules, self._box)
        oracle = make_oracle(self.network.module)
        if composite is not None and isinstance(oracle, fx.GraphModule):
            composite = in_call_order(composite, oracle)
        recording = (
            with_recorded_layers(oracle, recorded_layers)
            if isinstance(oracle, fx.GraphModule)
            else Unrecorded(oracle)
        )
        gradient = LayerGradient(
            recording, composite, is_at_layer=method.layer != INPUT, counts=method.conserves
        )
        graph = self.network.graph
        names = (UNTRACED,) if graph is None else layers_without_rule(graph, rules or {}, method)
        return PreparedMethod(gradient, "zennit", names_of(recorded_layers), names, {})


class Unrecorded(nn.Module):
    """A network that cannot be traced, with no recorded layers."""

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
