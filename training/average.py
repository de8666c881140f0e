"""The moving average of a network: its weights, and the statistics of its batch norms."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from training.augment import network_input
from training.data import Channels, Split
from training.measure import BATCH_SIZE

STATISTICS_IMAGES = 5 * BATCH_SIZE  # of 32x32: 2.5 million values for each channel of the input


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move each weight of an average by the share `1 - decay` towards a network's."""
    averages: list[Tensor] = list(average.parameters())
    weights: list[Tensor] = list(model.parameters())
    torch._foreach_lerp_(averages, weights, 1 - decay)


def measure_statistics(model: nn.Module, split: Split, mean: Channels, std: Channels) -> None:
    """Set mean and variance of each batch norm to those of its inputs, averaged over batches.

    Averaged weights have other activations than the weights they are averaged from, so statistics
    that were collected on the way do not fit them (Izmailov et al. 2018, section 3.2).

    Parameters
    ----------
    model : nn.Module
        Nothing happens if it has no batch norm.
    split : Split
        Training images; the first `STATISTICS_IMAGES` are used.
    mean, std : tuple of float
        Of each channel, for the network's input.
    """
    images = split.images[:STATISTICS_IMAGES]
    n_batches = -(-len(images) // BATCH_SIZE)
    batches = images.tensor_split(n_batches)  # of equal sizes, as each counts the same
    update_bn((network_input(batch, mean, std) for batch in batches), model)
