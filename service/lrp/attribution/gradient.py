"""The gradient attributor: several output relevances from one forward pass, at any layer.

Simonyan et al. 2014, arXiv:1312.6034. With a twin's rules in place of gradients it is
Layer-wise Relevance Propagation (Bach et al. 2015, PLOS ONE 10(7):e0130140).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from service.lrp.attribution.output_relevance import OutputRelevance
from service.lrp.passes import Passes, Pause, finish

Reduction = Callable[[Tensor], Tensor]
RecordingFn = Callable[[Tensor], tuple[Tensor, tuple[Tensor, ...]]]


@dataclass(frozen=True, eq=False)
class AttributionResult:
    """The relevance of a batch.

    Attributes
    ----------
    logits : Tensor
        Shape (N, num_classes).
    starts : list of OutputRelevance
        With the predicted classes put in.
    relevances : list of Tensor
        One of shape (N, ...) for each start.
    totals : list of Tensor
        Sum of the output relevance, shape (N,), for each start.
    layer_sums : list of Tensor
        Sum of the relevance of each recorded layer, shape (N, recorded layers), for each start.
    by_layer : list of list of Tensor
        Relevance of each recorded layer, of shape (N, ...), for each start; none where it is not
        kept.
    """

    logits: Tensor
    starts: list[OutputRelevance]
    relevances: list[Tensor]
    totals: list[Tensor]
    layer_sums: list[Tensor]
    by_layer: list[list[Tensor]] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class GradientOptions:
    """Which gradients are wanted.

    Attributes
    ----------
    is_at_layer : bool
        Whether the relevance is that of the last recorded layer, instead of that of the input.
    sums_layers : bool
        Whether to sum the relevance of the recorded layers.
    reductions : tuple of callable
        For each recorded layer, what is kept of its relevance; empty where nothing is.
    """

    is_at_layer: bool
    sums_layers: bool
    reductions: tuple[Reduction, ...] = ()

    def passes(
        self, forward: RecordingFn, images: Tensor, starts: Sequence[OutputRelevance]
    ) -> Passes[AttributionResult]:
        """Propagate relevance back from each start, with a pause before each of several.

        Parameters
        ----------
        forward : callable
            Takes a batch, returns logits and the outputs of the recorded layers.
        images : Tensor
            Normalized, shape (N, C, H, W).
        starts : sequence of OutputRelevance
            Rounds of targets.
        """
        leaf = images.detach().requires_grad_()
        with torch.enable_grad():
            logits, layers = forward(leaf)
        source = layers[-1] if self.is_at_layer else leaf
        resolved = [start.resolve_targets(logits.detach()) for start in starts]
        reductions = self._reductions(len(layers))
        recorded = list(zip(layers, reductions, strict=True)) if reductions else []
        rounds = []
        for index, start in enumerate(resolved):
            if len(resolved) > 1:
                yield Pause.WITHIN
            is_last = index == len(resolved) - 1
            rounds.append(_propagate(logits, source, recorded, start, is_last=is_last))
        relevances, totals, kept = (list(column) for column in zip(*rounds, strict=True))
        if self.reductions:
            nothing = [logits.new_zeros(len(logits), 0) for _ in rounds]
            return AttributionResult(logits.detach(), resolved, relevances, totals, nothing, kept)
        sums = [_stack(values, logits) for values in kept]
        return AttributionResult(logits.detach(), resolved, relevances, totals, sums)

    def _reductions(self, n_layers: int) -> Sequence[Reduction]:
        if self.reductions:
            return self.reductions
        return [sum_all] * n_layers if self.sums_layers else []


@dataclass(frozen=True, eq=False)
class TwinGradient:
    """The gradient of a twin: its rules stand in place of gradients.

    Attributes
    ----------
    model : nn.Module
        Takes images and stabilizers, returns logits and the outputs of the recorded layers.
    options : GradientOptions
        Which gradients are wanted.
    """

    model: nn.Module
    options: GradientOptions

    def attribute(
        self, images: Tensor, starts: Sequence[OutputRelevance], stabilizers: Tensor
    ) -> AttributionResult:
        """Propagate relevance from each start; stabilizers of shape (N or 1, rule entries)."""
        return finish(self.passes(images, starts, stabilizers))

    def passes(
        self, images: Tensor, starts: Sequence[OutputRelevance], stabilizers: Tensor
    ) -> Passes[AttributionResult]:
        """`attribute`, with pauses."""
        return self.options.passes(lambda leaf: self.model(leaf, stabilizers), images, starts)


def sum_all(relevance: Tensor) -> Tensor:
    """Sum the relevance of each image, shape (N,)."""
    return relevance.sum(tuple(range(1, relevance.ndim)))


def sum_channels(relevance: Tensor) -> Tensor:
    """Sum relevance over its channels, shape (N, H, W); without height and width, copy it."""
    return relevance.sum(1) if relevance.ndim == 4 else relevance.clone()


def keep_all(relevance: Tensor) -> Tensor:
    """Copy relevance, as rules may work in place."""
    return relevance.clone()


def _stack(values: Sequence[Tensor], logits: Tensor) -> Tensor:
    return torch.stack(list(values), 1) if values else logits.new_zeros(len(logits), 0)


def _propagate(
    logits: Tensor,
    source: Tensor,
    recorded: Sequence[tuple[Tensor, Reduction]],
    start: OutputRelevance,
    *,
    is_last: bool,
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Relevance of `source`, the sum of the output relevance, and what is kept of each layer."""
    relevance = start.relevance(logits.detach())
    if not source.requires_grad:  # the logits do not depend on the image
        nothing = [reduce(torch.zeros_like(layer)) for layer, reduce in recorded]
        return torch.zeros_like(source), relevance.sum(1), nothing
    kept: list[Tensor | None] = [None] * len(recorded)

    def record(index: int, reduce: Reduction) -> Callable[[Tensor], None]:
        def hook(gradient: Tensor) -> None:
            kept[index] = reduce(gradient).detach()

        return hook

    # hooks of tensors that belong to this call: no other call can see them
    handles = [
        layer.register_hook(record(index, reduce))
        for index, (layer, reduce) in enumerate(recorded)
        if layer.requires_grad
    ]
    (gradient,) = torch.autograd.grad(
        (logits,), (source,), grad_outputs=(relevance,), retain_graph=not is_last,
        materialize_grads=True,
    )  # fmt: skip
    for handle in handles:
        handle.remove()
    return (
        gradient.detach(),
        relevance.sum(1),
        [
            reduce(torch.zeros_like(layer)) if value is None else value
            for value, (layer, reduce) in zip(kept, recorded, strict=True)
        ],
    )
