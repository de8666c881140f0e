"""zennit's `Gradient` attributor, for several starts from one forward pass, at any layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from zennit.attribution import Gradient
from zennit.core import Composite

from service.lrp.attribution.output_relevance import Start

Tapped = Callable[[Tensor], tuple[Tensor, tuple[Tensor, ...]]]


@dataclass(frozen=True, eq=False)
class Found:
    """What an attributor found for a batch.

    Attributes
    ----------
    logits : Tensor
        Shape (N, num_classes).
    starts : list of Start
        With the predicted classes put in.
    relevances : list of Tensor
        One of shape (N, ...) for each start.
    totals : list of Tensor
        The relevance that was there to be handed on, shape (N,), for each start.
    sums : list of Tensor
        Relevance that arrived at each tap, shape (N, taps), for each start.
    """

    logits: Tensor
    starts: list[Start]
    relevances: list[Tensor]
    totals: list[Tensor]
    sums: list[Tensor]


class LayerGradient(Gradient):  # type: ignore[misc]  # zennit has no types
    """The gradient, modified by the rules of a twin or by zennit's hooks.

    Parameters
    ----------
    model : callable
        Takes a batch, returns logits and the values of its taps.
    composite : Composite or None
        zennit's, for a model that is no twin.
    at_tap : bool
        Whether the relevance is that of the last tap, instead of that of the input.
    counts : bool
        Whether to sum the relevance that arrives at the taps.
    """

    def __init__(
        self, model: nn.Module, composite: Composite | None, *, at_tap: bool, counts: bool
    ) -> None:
        super().__init__(model, composite)
        self.at_tap, self.counts = at_tap, counts

    def find(self, images: Tensor, starts: Sequence[Start]) -> Found:
        """Propagate relevance from each start; images of shape (N, C, H, W)."""
        found: Found = self(images, starts_function(starts))
        return found

    def forward(self, input: Tensor, attr_output_fn: Any) -> Found:  # noqa: A002  zennit's name
        """Do what `find` says; zennit calls this with the composite in effect."""
        leaf = input.detach().requires_grad_()
        with torch.enable_grad():
            logits, taps = self.model(leaf)
        source = taps[-1] if self.at_tap else leaf
        starts: list[Start] = attr_output_fn(logits.detach())
        outcomes = [
            self._propagate(logits, source, taps if self.counts else (), start, is_last)
            for start, is_last in zip(starts, _last(len(starts)), strict=True)
        ]
        relevances, totals, sums = (list(column) for column in zip(*outcomes, strict=True))
        return Found(logits.detach(), starts, relevances, totals, sums)

    def _propagate(
        self,
        logits: Tensor,
        source: Tensor,
        taps: Sequence[Tensor],
        start: Start,
        is_last: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        relevance = start.relevance(logits.detach())
        if not source.requires_grad:  # the image has no part in it
            nothing = logits.new_zeros(len(logits), len(taps))
            return torch.zeros_like(source), relevance.sum(1), nothing
        arrived: list[Tensor] = [logits.new_zeros(len(logits))] * len(taps)

        def count(index: int) -> Callable[[Tensor], None]:
            def hook(gradient: Tensor) -> None:
                arrived[index] = gradient.sum(tuple(range(1, gradient.ndim)))

            return hook

        # hooks of this call's own tensors: nothing that another call could see
        handles = [
            tap.register_hook(count(index)) for index, tap in enumerate(taps) if tap.requires_grad
        ]
        (gradient,) = torch.autograd.grad(
            (logits,), (source,), grad_outputs=(relevance,), retain_graph=not is_last,
            materialize_grads=True,
        )  # fmt: skip
        for handle in handles:
            handle.remove()
        sums = torch.stack(arrived, 1) if arrived else logits.new_zeros(len(logits), 0)
        return gradient.detach(), relevance.sum(1), sums.detach()


def starts_function(starts: Sequence[Start]) -> Callable[[Tensor], list[Start]]:
    """Put the predicted classes in once the logits are known."""
    return lambda logits: [start.fix(logits) for start in starts]


def _last(n: int) -> list[bool]:
    return [index == n - 1 for index in range(n)]
