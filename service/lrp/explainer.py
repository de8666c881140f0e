"""Explains a network: with a twin for each method, or with zennit where no twin is possible."""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence

import torch
from torch import Tensor, fx, nn

from service.errors import OptionError, join_names
from service.lrp.attribution.gradient import (
    AttributionResult,
    GradientOptions,
    TwinGradient,
    keep_all,
    sum_channels,
)
from service.lrp.attribution.output_relevance import OutputRelevance
from service.lrp.attribution.sampling import (
    AttributeFn,
    integrated_gradients,
    occlusion,
    smooth_grad,
)
from service.lrp.network.network import Network, names_of
from service.lrp.passes import Passes, finish
from service.lrp.prepared_method import PreparedMethod
from service.lrp.rules.assignment import (
    Rules,
    assign_rules,
    default_start,
    default_start_untraced,
    layers_without_rule,
)
from service.lrp.rules.modified_weights import ModifiedWeights, weights_of
from service.lrp.twin import Box, NoTwinError, make_twin, with_recorded_layers
from service.lrp.zennit_reference import ZennitGradient, make_zennit_gradient
from service.methods import COMPOSITES, INPUT, PLAIN, Method, Start

MAX_TWINS = 64  # without modified weights a twin is small
MAX_TWIN_BYTES = 1 << 30
UNTRACED = "(code that cannot be traced)"


class Explainer:
    """Explains one network. Methods that run on a twin are thread-safe.

    Parameters
    ----------
    model : nn.Module
        In evaluation mode. Its weights must not change afterwards.
    box : tuple of 2 Tensor, optional
        The lowest and the highest value of the network's input, shape (1, C, 1, 1); 0 and 1 by
        default.
    is_traced : bool
        False for a network whose graph is known not to compute what the network does.
    is_channels_last : bool
        False for a network that is known not to work with its channels last in memory.
    """

    def __init__(
        self,
        model: nn.Module,
        box: Box | None = None,
        *,
        is_traced: bool = True,
        is_channels_last: bool = True,
    ) -> None:
        self.network = Network(model, is_traced=is_traced, is_channels_last=is_channels_last)
        one = next(model.parameters()).new_ones(1, 1, 1, 1)
        self._box = box or (torch.zeros_like(one), one)
        self._baselines = {
            "mean": torch.zeros_like(self._box[0]),
            "black": self._box[0],
            "white": self._box[1],
        }
        self._weights = ModifiedWeights()
        self._prepared: OrderedDict[Hashable, PreparedMethod] = OrderedDict()
        self._lock = threading.Lock()

    def predict(self, images: Tensor) -> Tensor:
        """Compute logits, shape (N, num_classes), of images, shape (N, C, H, W)."""
        with torch.no_grad():
            logits: Tensor = self.network.module(self.network.arrange(images))
        return logits

    def explain(
        self, images: Tensor, starts: Sequence[OutputRelevance], method: Method
    ) -> AttributionResult:
        """Prepare a method, and explain a batch with it; see `explain_in_passes`."""
        stabilizers = images.new_tensor([method.stabilizers])
        prepared = self.prepare(method)
        return finish(self.explain_in_passes(prepared, images, starts, method, stabilizers))

    def explain_in_passes(
        self,
        prepared: PreparedMethod,
        images: Tensor,
        starts: Sequence[OutputRelevance],
        method: Method,
        stabilizers: Tensor,
    ) -> Passes[AttributionResult]:
        """Propagate relevance from the logits to the input, or to a layer.

        Parameters
        ----------
        prepared : PreparedMethod
            Of the method.
        images : Tensor
            Normalized images, shape (N, C, H, W).
        starts : sequence of OutputRelevance
            Rounds of targets; each round has a target for every image.
        method : Method
            The attributor and its parameters.
        stabilizers : Tensor
            `Method.stabilizers` of each image, shape (N, rules); or of shape (1, rules), which
            are those of all images. Only a twin that is batch first takes those of each image.

        Raises
        ------
        OptionError
            The rules or the layer do not fit the network.
        """

        def attribute(
            images: Tensor, starts: Sequence[OutputRelevance]
        ) -> Passes[AttributionResult]:
            n_copies = len(images) // len(stabilizers) if len(stabilizers) > 1 else 1
            arranged = self.network.arrange(images)
            return prepared.gradient.passes(arranged, starts, stabilizers.repeat(n_copies, 1))

        return self._attribute(attribute, images, starts, method)

    def _attribute(
        self,
        attribute: AttributeFn,
        images: Tensor,
        starts: Sequence[OutputRelevance],
        method: Method,
    ) -> Passes[AttributionResult]:
        if method.attributor == "smooth_grad":
            return smooth_grad(attribute, images, starts, method)
        if method.attributor == "integrated_gradients":
            baseline = self._baselines[str(method["baseline"])].expand_as(images[:1])
            return integrated_gradients(attribute, self.predict, images, baseline, starts, method)
        if method.attributor == "occlusion":
            hidden = self._baselines["mean"].expand_as(images[:1])
            return occlusion(self.predict, images, hidden, starts, method)
        return attribute(images, starts)

    def prepare(self, method: Method) -> PreparedMethod:
        """Look up what computes a method, and make its twin if it is new.

        A twin serves all values of `epsilon` and `stabilizer`; zennit's hooks have those of one
        method.
        """
        of_twin = method.prepared_key
        of_zennit = (of_twin, method.stabilizers)
        with self._lock:
            key = of_twin if of_twin in self._prepared else of_zennit
            if key not in self._prepared:
                prepared = self._prepare(method)
                key = of_twin if prepared.engine == "twin" else of_zennit
                self._prepared[key] = prepared
            self._prepared.move_to_end(key)
            self._evict()
            return self._prepared[key]

    def default_start(self, method: Method) -> Start:
        """The output relevance of a method for requests that name none; see `assignment`.

        Raises
        ------
        OptionError
            The rules do not fit the network.
        """
        graph = self.network.graph
        if graph is None:
            return default_start_untraced(self.network.module, method)
        return default_start(graph, assign_rules(graph, method))

    def to_double(self) -> Explainer:
        """Copy the network into double precision, and explain that."""
        low, high = self._box
        return Explainer(
            copy.deepcopy(self.network.module).double(),
            (low.double(), high.double()),
            is_traced=self.network.graph is not None,
            is_channels_last=self.network.is_channels_last,
        )

    def close(self) -> None:
        """Free the tensors of the network and its twins; nothing can be computed any more.

        Their modules are in reference cycles, which may be found late, or never if they are frozen.
        """
        with self._lock:
            self._prepared.clear()
        module = self.network.module
        for tensor in (*module.parameters(), *module.buffers()):
            tensor.data = tensor.new_empty(0)

    def oracle(self, method: Method) -> ZennitGradient:
        """Make what the twin of a method has to equal. Not thread-safe: zennit swaps parameters."""
        graph = self.network.graph
        rules = None if graph is None else assign_rules(graph, method)
        return self._make_oracle(method, rules)

    @property
    def twin_bytes(self) -> int:
        """Bytes of the modified weights that are held, beyond the network's own."""
        sizes: dict[int, int] = {}
        for prepared in self._prepared.values():
            sizes |= prepared.weights
        return sum(sizes.values())

    def _evict(self) -> None:
        """Drop the least recently used methods; the latest stays."""
        while len(self._prepared) > 1 and (
            len(self._prepared) > MAX_TWINS or self.twin_bytes > MAX_TWIN_BYTES
        ):
            self._prepared.popitem(last=False)

    def _prepare(self, method: Method) -> PreparedMethod:
        recorded_layers = self._recorded_layers(method)
        graph = self.network.graph
        if graph is None:
            self._check_untraced(method)
            return self._prepare_zennit(method, None)
        rules = assign_rules(graph, method)
        try:
            twin = make_twin(graph, rules, method.rules, self._weights, self._box)
        except NoTwinError:
            return self._prepare_zennit(method, rules)
        return PreparedMethod(
            TwinGradient(with_recorded_layers(twin, recorded_layers), self._options(method)),
            "twin",
            default_start(graph, rules),
            names_of(recorded_layers),
            layers_without_rule(graph, rules, method),
            self.network.is_batch_first,
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
        graph = self.network.graph
        return PreparedMethod(
            self._make_oracle(method, rules),
            "zennit",
            self.default_start(method),
            names_of(self._recorded_layers(method)),
            (UNTRACED,) if graph is None else layers_without_rule(graph, rules or {}, method),
            is_batch_first=False,
            weights={},
        )

    def _make_oracle(self, method: Method, rules: Rules | None) -> ZennitGradient:
        recorded_layers, options = self._recorded_layers(method), self._options(method)
        return make_zennit_gradient(
            self.network.module, recorded_layers, method, rules, self._box, options
        )

    def _recorded_layers(self, method: Method) -> list[fx.Node]:
        """The layers whose relevance is kept; without any, those whose relevance is summed."""
        if method.layers:
            return self.network.nodes_of(method.layers)
        return self.network.recorded_layers(method.layer)

    def _options(self, method: Method) -> GradientOptions:
        reductions = tuple(
            sum_channels if method.sums_channels and self.network.has_channels(node) else keep_all
            for node in (self._recorded_layers(method) if method.layers else ())
        )
        return GradientOptions(
            is_at_layer=method.layer != INPUT, sums_layers=method.conserves, reductions=reductions
        )
