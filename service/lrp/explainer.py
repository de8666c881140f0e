"""Compute relevance: a resident attributor per method on an explaining twin of a network."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable

from torch import Tensor, nn
from zennit.attribution import Gradient

from service.lrp.composites import make_composite
from service.methods import Method

ENGINE = "zennit"
MAX_ATTRIBUTORS = 32  # an attributor holds rules, no weights; more methods at once are not usual


class Explainer:
    """Explains one network. Not thread-safe: zennit swaps parameters while it runs.

    The network that is explained is a copy that shares the storage of the original's weights, so
    that nothing zennit does to the copy's modules can be seen by predictions.

    Parameters
    ----------
    model : nn.Module
        In evaluation mode. Its weights must not change afterwards.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = share_weights(model)
        self._attributors: OrderedDict[Method, Gradient] = OrderedDict()

    def explain(
        self, images: Tensor, start: Callable[[Tensor], Tensor], method: Method
    ) -> tuple[Tensor, Tensor]:
        """Propagate relevance from the output to the input.

        Parameters
        ----------
        images : Tensor
            Normalized images, shape (N, 3, H, W).
        start : callable
            Turns the logits, shape (N, num_classes), into the relevance to start from, likewise.
        method : Method
            The attributor and the rules.

        Returns
        -------
        logits : Tensor
            Shape (N, num_classes).
        relevance : Tensor
            Of the input, shape (N, 3, H, W).
        """
        # zennit registers its hooks for the call only: while they stay registered, each call
        # leaves handles and activations behind
        with self._attributor(method) as attributor:
            logits, relevance = attributor(images, start)
        return logits.detach(), relevance.detach()

    def _attributor(self, method: Method) -> Gradient:
        if method not in self._attributors:
            self._attributors[method] = Gradient(self._model, make_composite(method))
        self._attributors.move_to_end(method)
        if len(self._attributors) > MAX_ATTRIBUTORS:
            self._attributors.popitem(last=False)
        return self._attributors[method]


def share_weights(model: nn.Module) -> nn.Module:
    """Copy a network's modules, but not its weights: both have the same storage."""
    twin = copy.deepcopy(model)
    twin.load_state_dict(model.state_dict(), assign=True)
    for module in twin.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False  # an in-place ReLU overwrites what a hook in front of it saved
    return twin.eval().requires_grad_(False)
