"""Gradients of a batch on several cores: a replica of the network for each part of the batch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

LossFn = Callable[[nn.Module, Tensor, Tensor], Tensor]
_LEAST_IMAGES = 32  # of a replica: with fewer, calls take longer than what they compute
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def count_replicas(device: torch.device, batch_size: int) -> int:
    """Number of replicas that suit a device: on a CPU one for each thread, if batches are large."""
    if device.type != "cpu":
        return 1
    return max(1, min(torch.get_num_threads(), batch_size // _LEAST_IMAGES))


class Replicas:
    """Threads that compute the gradients of parts of a batch, and their sum.

    Threads of torch meet after each operation, so where another process has one of their cores, all
    wait for it each time. These meet once in a step. The sum does not depend on which is first.
    Batch norms use the statistics of their replica's part, and those of the first part are kept.

    Parameters
    ----------
    model : nn.Module
        Gets the gradients; the replicas share its weights. It must have no active dropout if `n` is
        more than 1, as random numbers would depend on which thread is first.
    n : int
        Number of replicas; 1 computes with all of torch's threads, as usual.
    """

    def __init__(self, model: nn.Module, n: int) -> None:
        self.models = [model, *(_share_weights(model) for _ in range(n - 1))]
        self._threads_each = max(1, torch.get_num_threads() // n)
        self._pool: ThreadPoolExecutor | None = None
        if n > 1:
            set_threads = (self._threads_each,)
            self._pool = ThreadPoolExecutor(n, "replica", torch.set_num_threads, set_threads)

    def map(self, function: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
        """Apply a function to items, in the threads of the replicas."""
        run = map if self._pool is None else self._pool.map
        return list(run(function, items))

    def backward(self, loss_fn: LossFn, images: Tensor, labels: Tensor) -> Tensor:
        """Compute the mean loss of a batch, and set the gradients of its weights.

        Parameters
        ----------
        loss_fn : callable
            Mean loss of a network on images and labels.
        images, labels : Tensor
            The batch.

        Returns
        -------
        Tensor
            The loss, without gradient.
        """
        n = len(self.models)
        parts = zip(self.models, images.tensor_split(n), labels.tensor_split(n), strict=True)

        def of_part(part: tuple[nn.Module, Tensor, Tensor]) -> Tensor:
            model, part_images, part_labels = part
            loss = loss_fn(model, part_images, part_labels) * (len(part_images) / len(images))
            model.zero_grad()
            loss.backward()
            return loss.detach()

        losses = self.map(of_part, parts)
        for model in self.models[1:]:
            for weight, other in zip(self.models[0].parameters(), model.parameters(), strict=True):
                if weight.grad is not None and other.grad is not None:
                    weight.grad += other.grad
        return torch.stack(losses).sum()

    @contextmanager
    def own_threads(self) -> Iterator[None]:
        """Let this thread too compute on as many cores as a replica: the others are taken."""
        before = torch.get_num_threads()
        torch.set_num_threads(self._threads_each)
        yield
        torch.set_num_threads(before)


def _share_weights(model: nn.Module) -> nn.Module:
    replica = copy.deepcopy(model)
    for own, shared in zip(replica.parameters(), model.parameters(), strict=True):
        own.data = shared.data
    return replica
