"""zennit's `Gradient` attributor, for several starts from one forward pass, at any layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from zennit.attribution import Gradient
from zennit.core import Composite

from service.lrp.attribution.output_relevance import OutputRelevance

Tapped = Callable[[Tensor], tuple[Tensor, tuple[Tensor, ...]]]


@dataclass(frozen=True, eq=False)
class AttributionResult:
    """What an attributor found for a batch.

    Attributes
    ----------
    logits : Tensor
        Shape (N, num_classes).
    starts : list of OutputRelevance
        With the predicted classes put in.
    relevances : list of Tensor
        One of shape (N, ...) for each start.
    totals : list of Tensor
        The relevance that was there to be handed on, shape (N,), for each start.
    sums : list of Tensor
        Relevance that arrived at each recorded layer, shape (N, recorded layers), for each start.
    """

    logits: Tensor
    starts: list[OutputRelevance]
    relevances: list[Tensor]
    totals: list[Tensor]
    sums: list[Tensor]


class LayerGradient(Gradient):  # type: ignore[misc]  # zennit has no types
    """The gradient, modified by the rules of a twin or by zennit's hooks.

    Parameters
    ----------
    model : callable
        Takes a batch, returns logits and the values of its recorded layers.
    composite : Composite or None
        zennit's, for a model that is no twin.
    is_at_layer : bool
        Whether the relevance is that of the last recorded layer, instead of that of the input.
    counts : bool
        Whether to sum the relevance that arrives at the recorded layers.
    """

    def __init__(
        self, model: nn.Module, composite: Composite | None, *, is_at_layer: bool, counts: bool
    ) -> None:
        super().__init__(model, composite)
        self.is_at_layer, self.counts = is_at_layer, counts

    def attribute(self, images: Tensor, starts: Sequence[OutputRelevance]) -> AttributionResult:
        """Propagate relevance from each start; images of shape (N, C, H, W)."""
        found: AttributionResult = self(images, starts_function(starts))
        return found

    def forward(self, input: Tensor, attr_output_fn: Any) -> AttributionResult:  # noqa: A002  zennit's name
        """Do what `find` says; zennit calls this with the composite in effect."""
        leaf = input.detach().requires_grad_()
        with torch.enable_grad():
            logits, recorded_layers = self.model(leaf)
        source = recorded_layers[-1] if self.is_at_layer else leaf
        starts: list[OutputRelevance] = attr_output_fn(logits.detach())
        outcomes = [
            self._propagate(logits, source, recorded_layers if self.counts else (), start, is_last)
            for start, is_last in zip(starts, _last(len(starts)), strict=True)
        ]
        relevances, totals, sums = (list(column) for column in zip(*outcomes, strict=True))
        return AttributionResult(logits.detach(), starts, relevances, totals, sums)

    def _propagate(
        self,
        logits: Tensor,
        source: Tensor,
        recorded_layers: Sequence[Tensor],
        start: OutputRelevance,
        is_last: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        relevance = start.relevance(logits.detach())
        if not source.requires_grad:  # the image has no part in it
            nothing = logits.new_zeros(len(logits), len(recorded_layers))
            return torch.zeros_like(source), relevance.sum(1), nothing
        arrived: list[Tensor] = [logits.new_zeros(len(logits))] * len(recorded_layers)

        def count(index: int) -> Callable[[Tensor], None]:
            def hook(gradient: Tensor) -> None:
                arrived[index] = gradient.sum(tuple(range(1, gradient.ndim)))

            return hook

        # hooks of this call's own tensors: nothing that another call could see
        handles = [
            layer.register_hook(count(index))
            for index, layer in enumerate(recorded_layers)
            if layer.requires_grad
        ]
        (gradient,) = torch.autograd.grad(
            (logits,), (source,), grad_outputs=(relevance,), retain_graph=not is_last,
            materialize_grads=True,
        )  # fmt: skip
        for handle in handles:
            handle.remove()
        sums = torch.stack(arrived, 1) if arrived else logits.new_zeros(len(logits), 0)
        return gradient.detach(), relevance.sum(1), sums.detach()


def starts_function(starts: Sequence[OutputRelevance]) -> Callable[[Tensor], list[OutputRelevance]]:
    """Put the predicted classes in once the logits are known."""
    return lambda logits: [start.resolve_targets(logits) for start in starts]


def _last(n: int) -> list[bool]:
    return [index == n - 1 for index in range(n)]
